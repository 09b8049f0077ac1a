"""Each case runs the workflows `pull request` and `report` themselves: real steps, real DVC, real git."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.slow

WHO = {f"GIT_{role}_{key}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def states(place: Any) -> list[tuple[str, str]]:
    return [(item["sha"], item["state"]) for item in place.hub.statuses]


def said(place: Any) -> str:
    return str(place.hub.statuses[-1]["description"])


def judged(place: Any, **options: Any) -> Any:
    """Run `pull request` and then `report`; return how the first ended. Nothing that it asked for was refused."""
    outcome = place.run(**options)
    assert place.hub.calls == [], "a run of a pull request's code has asked GitHub"
    told = place.report(outcome, **{key: value for key, value in options.items() if key == "home"})
    assert told.code == 0 and place.hub.refused == []
    return outcome


def test_changed_params_are_trained_and_locked_on_the_branch(place: Any) -> None:
    head = place.other_model()
    assert place.begin().code == 0
    assert states(place) == [(head, "pending")] and "waiting for the run" in said(place)
    place.hub.calls.clear()
    outcome = judged(place)
    assert outcome.code == 0
    assert place.origin != head and states(place)[1:] == [(place.origin, "success")]
    assert place.hub.git("rev-parse", f"{place.origin}^", f"{place.origin}^{{tree}}").split() == [
        head,
        outcome.json("verdict.json")["head"]["tree"],
    ]
    assert [(item["head_sha"], item["conclusion"]) for item in place.hub.checks] == [(place.origin, "success")]
    assert [item["head_sha"] for item in place.hub.parked] == [place.origin]
    (ours,) = place.hub.comments
    assert "# ✅ Promote" in ours["body"]
    # CML puts its comment in the place of ours.
    assert place.comment().code == 0
    assert (place.top / "said").read_text().startswith("comment update --target=pr/7 --publish=false ")
    # The run is repeated at the old commit: its lock is on the branch already.
    locked = place.origin
    outcome = place.run()
    assert place.report(outcome).code == 0
    assert place.origin == locked and states(place)[2:] == [(locked, "success")]
    assert len(place.hub.comments) == 1


def test_words_alone_get_their_status_from_git_without_training(place: Any) -> None:
    """In the environment that the job installs itself; a fork's author sees the same as anybody."""
    head = place.edit("README.md", lambda text: text + "\nMore.\n")
    outcome = place.begin(home="eve/loans", action="opened", real=True)
    assert outcome.code == 0 and outcome.log.count("setting up .venv from requirements-light.lock") == 1
    assert states(place) == [(head, "success")] and "only words" in said(place)
    # Beside it a file moved into docs/: git is asked for both of its places.
    (place.clone / "src/bank/expectations.py").rename(place.clone / "docs/expectations.py")
    head = place.push("Move")
    assert place.begin().code == 0
    assert states(place)[1:] == [(head, "pending")] and place.hub.refused == []


def test_a_pull_request_into_another_branch_waits_until_it_targets_main(place: Any) -> None:
    parent = place.edit("src/bank/model.py", lambda text: text + "# parent\n")
    place.hub.origin = place.top / "origin.git"
    place.hub.git("update-ref", "refs/heads/parent", parent)
    head = place.edit("README.md", lambda text: text + "\nMore.\n")
    event = place.opened()
    event["pull_request"]["base"] = {"sha": parent, "ref": "parent", "repo": {"full_name": "ada/loans"}}
    assert place.begin(**event).code == 0
    assert states(place) == [(head, "pending")] and said(place) == "judged when it targets main"
    assert "mainline ci train" not in place.run(**event).log
    # An edited title starts nothing; an edited target is decided anew, against main.
    assert "mainline ci begin" not in place.begin(action="edited", changes={"title": {"from": "x"}}).log
    assert "mainline ci train" not in place.run(action="edited", changes={"title": {"from": "x"}}).log
    assert place.begin(action="edited", changes={"base": {"ref": {"from": "parent"}}}).code == 0
    assert states(place)[1:] == [(head, "pending")] and "waiting" in said(place)


def test_a_worse_model_is_red_and_still_reported(place: Any) -> None:
    head = place.other_model("0.0000001")
    place.cml("echo canvas is broken >&2; exit 1")
    outcome = judged(place)
    assert outcome.code != 0
    assert place.origin != head and states(place) == [(place.origin, "failure")] and "reject" in said(place)
    # A CML that fails changes nothing: the comment is there.
    (ours,) = place.hub.comments
    told = place.comment()
    assert told.code == 0 and "canvas is broken" in told.log
    assert place.hub.comments == [ours] and "Reject" in ours["body"]
    # Main moves on, and the same run is told again: what it says is about another champion.
    git = place.hub.git
    tree = git("rev-parse", f"{head}^{{tree}}")  # other params
    main = git("commit-tree", tree, "-p", "main", "-m", "Other params", extra=WHO)
    git("update-ref", "refs/heads/main", main)
    assert place.report(outcome).code == 0
    assert states(place)[1:] == [(head, "pending")] and said(place).startswith("update the branch: main has changed")


def test_a_fork_is_judged_without_writing_and_told_by_main(place: Any) -> None:
    head = place.other_model()
    changes = {"base": {"ref": {"from": "parent"}}}
    outcome = judged(place, home="eve/loans", action="edited", changes=changes)
    assert outcome.code == 0 and outcome.json("pull_request.json") == {"number": 7, "head": head}
    assert (outcome.artifact / "report.md").is_file() and (outcome.artifact / "dvc.lock").is_file()
    assert place.origin == head
    assert states(place) == [(head, "pending")] and "push its head" in said(place)
    (claim,) = place.hub.comments
    assert "a claim" in claim["body"] and "```text\n# ✅ Promote" in claim["body"]
    assert place.hub.checks == [] and place.hub.held() == ["report"], "CML sees nothing of a fork"


def test_a_run_that_left_nothing_is_told_and_is_no_failure_of_ours(place: Any) -> None:
    head = place.other_model()
    place.opened()
    assert "mainline ci report" not in place.report("action_required").log
    assert "mainline ci report" not in place.report("skipped").log
    assert place.hub.calls == []
    assert place.report("cancelled").code == 0
    assert states(place) == [(head, "pending")] and "cancelled" in said(place)
    assert place.report("failure").code == 0
    assert states(place)[1:] == [(head, "failure")] and "left no report" in said(place)
    # The merge queue: what is queued alone and up to date holds what was judged; anything else was not judged.
    queue = f"gh-readonly-queue/main/pr-7-{place.hub.git('rev-parse', 'main')}"
    group = {"event": "merge_group", "head_branch": queue}
    assert place.report("skipped", **group).code == 0
    assert states(place)[2:] == [(head, "failure")] and "not judged" in said(place)
    place.hub.statuses[-1]["state"] = "success"
    merged = place.hub.git("commit-tree", f"{head}^{{tree}}", "-p", "main", "-m", "Merge", extra=WHO)
    assert place.report("skipped", merged, **group).code == 0
    assert states(place)[3:] == [(merged, "success")] and place.hub.refused == []


def test_bad_data_are_red_and_named(place: Any) -> None:
    place.dvc("pull", "--quiet", "data.dvc")
    batch = place.clone / "data" / "2009-05.csv"
    batch.write_text(batch.read_text().replace(",cellular,", ",CELLULAR,"), encoding="utf-8")
    place.dvc("add", "--quiet", "data")
    place.dvc("push", "--quiet", "data.dvc")
    head = place.push("New batch")
    outcome = judged(place)
    assert outcome.code != 0
    assert states(place) == [(head, "failure")] and "no verdict" in said(place)
    assert place.origin == head and not (outcome.artifact / "verdict.json").exists()
    assert "CELLULAR" in outcome.log and "contact" in (outcome.artifact / "report.md").read_text()


def test_an_identical_model_is_taken_by_its_hashes_and_promoted_as_it_is(place: Any) -> None:
    """Nothing of an earlier run is there: the model comes from the repository, only its rows are made again.

    The job installs its own environment, and `make check` checks.
    """
    place.forget()
    head = place.edit("Makefile", lambda text: text + "\n# touched\n")
    outcome = judged(place, real=True)
    assert outcome.code == 0
    assert outcome.log.count("setting up .venv from requirements.lock") == 1
    assert "dvc.lock fits code, data and params" in outcome.log and "fitting" not in outcome.log
    assert place.origin == head and states(place) == [(head, "success")]
    assert outcome.json("verdict.json")["case"] == "identical model"
    assert "byte for byte" in said(place) and place.hub.parked == []
    (ours,) = place.hub.comments
    assert "byte for byte" in ours["body"] and "takes part in its own verdict: `Makefile`" in ours["body"]


def test_a_lock_that_its_author_committed_is_run_again(place: Any) -> None:
    # Given an author who has run `dvc repro`, and whose objects an earlier run of this pull request has kept
    place.dvc("config", "--quiet", "--local", "cache.dir", str(place.top / "cache-of-dvc"))
    place.other_model("0.9")
    place.dvc("pull", "--quiet", "data.dvc")
    place.dvc("repro", "--quiet")
    head = place.push("Lock")
    outcome = judged(place)
    assert outcome.code == 0
    assert states(place) == [(place.origin, "success")]
    assert outcome.json("verdict.json")["case"] == "compared"
    assert "dvc.lock fits code, data and params" in outcome.log and "fitting 13 features" in outcome.log
    # The run came to the author's bytes: what it adds are the objects that `dvc repro` does not keep.
    added = place.hub.git("diff", "--name-only", head, place.origin).splitlines()
    assert added and all(name.startswith(".dvc/embedded/") for name in added)


def test_an_object_that_is_in_no_remote_is_rejected_by_name(place: Any) -> None:
    place.dvc("pull", "--quiet", "data.dvc")
    batch = place.clone / "data" / "2009-05.csv"
    text = batch.read_text(encoding="utf-8")
    batch.unlink()
    batch.write_text(text[: text.rstrip("\n").rindex("\n") + 1], encoding="utf-8")
    place.dvc("add", "--quiet", "data")
    head = place.push("A batch that nobody pushed")
    outcome = judged(place)
    assert outcome.code != 0
    assert place.origin == head and states(place) == [(head, "failure")]
    assert not (outcome.artifact / "verdict.json").exists()
    named = r"data\.dvc: the batches are not all in the remote: data \(\w{32}\.dir\)"
    for text in (outcome.log, place.hub.comments[0]["body"], place.hub.checks[0]["output"]["summary"]):
        assert re.search(named, text), text
