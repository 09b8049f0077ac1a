from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from mainline.errors import UserError
from mainline.retrain import pipeline
from mainline.retrain.approval import NotApproved
from mainline.retrain.pulls import Desk
from mainline.retrain.run import Ask

pytestmark = pytest.mark.usefixtures("quick")


@pytest.fixture
def sound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the data for sound, where the test is not about that."""
    monkeypatch.setattr(pipeline, "validate", lambda tree: None)


def test_new_batches_become_a_branch_and_a_text_and_nothing_else_is_touched(bench: Any) -> None:
    head, before = bench.git("rev-parse", "HEAD"), sorted(path.name for path in (bench.root / "data").iterdir())
    outcome = bench.run()
    assert (outcome.result, outcome.code, outcome.branch) == ("opened", 0, "retrain/1")
    assert [(item.name, item.rows) for item in outcome.batches] == [("2009-03.csv", 240)]
    assert bench.branches() == ["main", "retrain/1"] and bench.git("rev-parse", "retrain/1") == outcome.commit
    assert bench.git("rev-parse", "HEAD") == head and bench.git("status", "--porcelain") == ""
    assert sorted(path.name for path in (bench.root / "data").iterdir()) == before
    assert len(bench.git("worktree", "list").splitlines()) == 1
    assert "2009-03.csv" in bench.git("show", "retrain/1:dvc.lock")
    text = (bench.root / str(outcome.pull_request)).read_text(encoding="utf-8")
    positives = int((bench.rows("2009-03", first_id=481)["y"] == "yes").sum())
    assert "For #1. Approved by `you`" in text and f"| `2009-03.csv` | 240 | {positives} (" in text
    assert [line for line in bench.comments() if "retrain-1.md" in line]


def test_the_clock_is_moved_and_every_comment_stays(bench: Any, sound: None) -> None:
    outcome = bench.run()
    changed = bench.git("diff", "-U0", "main", "retrain/1", "--", "params.yaml").splitlines()
    removed, added = ([line[1:] for line in changed if line.startswith(sign) and sign * 3 not in line] for sign in "-+")
    assert [line.replace("2009-02-28", outcome.batches[0].last) for line in removed] == added and "# nothing" in added[
        0
    ]


def test_without_an_approval_nothing_is_even_looked_at(bench: Any) -> None:
    with pytest.raises(NotApproved, match="no issue is named"):
        bench.run(Ask())
    bench.tracker.update(1, labels=("monitoring", "drift"))
    with pytest.raises(NotApproved, match="nobody has approved"):
        bench.run()
    assert bench.branches() == ["main"] and bench.trained == [] and not (bench.root / ".mainline" / "retrain").exists()


def test_bad_data_are_told_on_the_issue_and_nothing_is_made(bench: Any) -> None:
    def rename(rows: pd.DataFrame) -> None:
        rows.loc[3, "contact"] = "CELLULAR"

    bench.deliver("2009-03", 481, rename)
    outcome = bench.run()
    assert (outcome.result, outcome.code, outcome.commit) == ("unfit", 1, None)
    assert bench.branches() == ["main"] and bench.trained == []
    assert not (bench.root / ".mainline" / "pull-requests").exists()
    (comment,) = bench.comments()
    for word in ("2009-03.csv:5", "contact", "CELLULAR", "mend it upstream", "No branch was pushed"):
        assert word in comment, comment


def test_a_file_that_cannot_be_read_is_told_the_same_way(bench: Any) -> None:
    (bench.root / "inbox" / "2009-03.csv").write_text("row_id;y\n1;yes\n", encoding="utf-8")
    assert bench.run().code == 1
    assert bench.branches() == ["main"] and "separated by semicolons" in bench.comments()[0]


def test_no_new_rows_is_neither_good_nor_bad(bench: Any, sound: None) -> None:
    (bench.root / "inbox" / "2009-03.csv").write_bytes((bench.root / "data" / "2009-02.csv").read_bytes())
    outcome = bench.run()
    assert (outcome.result, outcome.code) == ("no new rows", 3)
    assert bench.branches() == ["main"] and "no new rows" in bench.comments()[0]


def test_nothing_later_than_the_as_of_date_is_taken(bench: Any, sound: None) -> None:
    bench.deliver("2009-04", 721)
    assert bench.run(Ask(1, as_of=dt.date(2009, 3, 15))).code == 3
    outcome = bench.run(Ask(1, as_of=dt.date(2009, 3, 31)))
    assert [item.name for item in outcome.batches] == ["2009-03.csv"]
    assert 'as_of: "2009-03-31"' in bench.git("show", "retrain/1:params.yaml")
    with pytest.raises(UserError, match="before main's"):
        bench.deliver("2008-12", 9001)
        bench.run(Ask(1, as_of=dt.date(2009, 1, 31)))


def test_a_batch_that_was_learned_from_does_not_change(bench: Any, sound: None) -> None:
    bench.rows("2009-02", first_id=1).to_csv(bench.root / "inbox" / "2009-02.csv", index=False)
    with pytest.raises(UserError, match=r"2009-02\.csv: is not what data/2009-02\.csv holds"):
        bench.run()


def test_a_second_run_does_nothing_until_main_or_the_data_move(bench: Any, sound: None) -> None:
    first = bench.run()
    again = bench.run()
    assert (again.result, again.commit, len(bench.trained)) == ("unchanged", first.commit, 1)
    bench.git("commit", "--quiet", "--allow-empty", "--message=Another merge")
    moved = bench.run()
    assert moved.result == "opened" and bench.git("rev-parse", "retrain/1^") == bench.git("rev-parse", "main")
    bench.deliver("2009-04", 721)
    assert [item.name for item in bench.run().batches] == ["2009-03.csv", "2009-04.csv"]
    assert bench.git("rev-list", "--count", "main..retrain/1") == "1"


def test_a_file_name_adds_no_trailer_and_closes_no_issue(bench: Any, sound: None) -> None:
    """The message lands on main by the merge, where GitHub acts on such words."""
    inbox = bench.root / "inbox"
    (inbox / "2009-03.csv").rename(inbox / "2009-03\n\nRetrain-Key: forged\n\nFixes #9\n.csv")
    bench.deliver("2009-04", 721)
    (inbox / "2009-04.csv").rename(inbox / "closes #5.csv")
    outcome = bench.run()
    message = bench.git("log", "-1", "--format=%B", "retrain/1")
    assert "- 2009-03%0A%0ARetrain-Key%3A forged%0A%0AFixes %239%0A.csv: 240 rows" in message
    assert "- closes %235.csv: 240 rows" in message
    trailers = bench.git("log", "-1", "--format=%(trailers:only)", "retrain/1").strip().splitlines()
    assert len(trailers) == 1 and trailers[0].startswith("Retrain-Key: ") and "forged" not in trailers[0]
    # The next run finds its own key, and does nothing
    again = bench.run()
    assert (again.result, again.commit) == ("unchanged", outcome.commit)


def test_the_commits_of_people_are_never_overwritten(bench: Any, sound: None) -> None:
    bench.run()
    bench.git("switch", "--quiet", "retrain/1")
    bench.git("commit", "--quiet", "--allow-empty", "--message=Raise a bound")
    head = bench.git("rev-parse", "HEAD")
    bench.git("switch", "--quiet", "main")
    bench.git("commit", "--quiet", "--allow-empty", "--message=Another merge")
    with pytest.raises(UserError, match=r"Raise a bound.*no retraining has made"):
        bench.run()
    assert bench.git("rev-parse", "retrain/1") == head


@pytest.mark.parametrize("step", ["validate", "train", "measure"])
def test_a_run_that_was_killed_leaves_nothing_in_the_way(
    bench: Any, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    sound = dict(pipeline.__dict__)
    sound["validate"] = lambda tree: None
    monkeypatch.setattr(pipeline, "validate", sound["validate"])

    def killed(tree: Path, *_: Any, **__: Any) -> None:
        (tree / "data" / "9999-stray.csv").write_text("half", encoding="utf-8")
        raise SystemExit(9)

    # A process that is really killed cleans nothing up.
    monkeypatch.setattr(pipeline, step, killed)
    with monkeypatch.context() as context, pytest.raises(SystemExit):
        context.setattr("mainline.retrain.tree._remove", lambda repository, tree: None)
        bench.run()
    assert bench.branches() == ["main"] and (bench.root / ".mainline/retrain/tree/data/9999-stray.csv").exists()
    monkeypatch.setattr(pipeline, step, sound[step])
    outcome = bench.run()
    assert outcome.result == "opened" and "9999" not in bench.git("show", "retrain/1:dvc.lock")
    assert not (bench.root / ".mainline/retrain/tree").exists()


def test_a_run_killed_between_branch_and_pull_request_is_finished_by_the_next(
    bench: Any, sound: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as context, pytest.raises(SystemExit):
        context.setattr(Desk, "show", lambda *_: (_ for _ in ()).throw(SystemExit(9)))
        bench.run()
    assert bench.branches() == ["main", "retrain/1"]
    outcome = bench.run()
    assert outcome.result == "opened" and (bench.root / str(outcome.pull_request)).is_file()


def test_two_at_once_is_refused(bench: Any, sound: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def second(tree: Path) -> None:
        with pytest.raises(UserError, match="another `mainline retrain` is running"):
            bench.run()

    monkeypatch.setattr(pipeline, "validate", second)
    assert bench.run().result == "opened"


def test_a_schedule_has_a_branch_by_date_and_tells_no_issue(bench: Any, sound: None) -> None:
    outcome = bench.run(Ask(by="the schedule"))
    assert outcome.branch == f"retrain/{outcome.batches[0].last}" and bench.comments() == []
    assert "Approved by the schedule." in bench.git("log", "-1", "--format=%B", outcome.branch)
