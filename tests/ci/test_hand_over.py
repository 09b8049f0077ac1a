"""A promoted model waits for its outputs; only the push that it waits for makes the status a success."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mainline.ci import push
from mainline.ci.begin import WORDS
from mainline.ci.hand_over import FAILED, WAITING, hand_over
from mainline.ci.push import push_and_tell
from mainline.ci.report import Finding
from mainline.errors import UserError
from mainline.github import GitHub

HEAD = "a" * 40
GOOD = Finding(HEAD, "success", "promote: better", 7, "# Report")
OWN = "[core]\nremote = store\n['remote \"store\"']\nurl = s3://ours/x\n"


@dataclass
class Here:
    """A clone and GitHub, by the parts that are asked."""

    server: GitHub
    root: Path
    names: tuple[str, ...] = ("params.yaml", "dvc.lock")

    def changed(self, _: str) -> list[str]:
        return list(self.names)

    def fetch(self, _: str) -> None:
        pass


@pytest.fixture
def here(server: GitHub, tmp_path: Path) -> Any:
    (tmp_path / ".dvc").mkdir()
    (tmp_path / ".dvc" / "config").write_text(OWN, encoding="utf-8")
    return Here(server, tmp_path)


def test_a_success_with_a_new_lock_waits(here: Any) -> None:
    assert hand_over(GOOD, here) == replace(GOOD, state="pending", description=WAITING)


@pytest.mark.parametrize(
    "other",
    [{"state": "failure"}, {"state": "pending"}, {"claim": True}, {"description": WORDS}, {"number": 0}],
    ids=["failure", "pending", "fork", "words", "merge queue"],
)
def test_no_other_finding_waits(here: Any, other: dict[str, Any]) -> None:
    assert hand_over(replace(GOOD, **other), here) is None


def test_nothing_waits_without_storage_or_with_the_lock_of_main(here: Any) -> None:
    assert hand_over(GOOD, replace(here, names=("src/bank/model.py",))) is None
    (here.root / ".dvc" / "config").write_text(OWN.replace("s3://ours/x", "embedded"), encoding="utf-8")
    assert hand_over(GOOD, here) is None


@pytest.fixture
def pushed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was pushed, without a storage."""
    made: list[str] = []
    monkeypatch.setattr(push, "named", lambda commit, root: [commit])
    monkeypatch.setattr(push, "push", lambda wanted, archive, root: made.append(wanted[0]))
    return made


def said(hub: Any) -> list[tuple[str, str]]:
    return [(item["state"], item["description"]) for item in hub.statuses]


def test_what_waits_is_pushed_and_passes(here: Any, hub: Any, pushed: list[str]) -> None:
    here.server.set_status(HEAD, "pending", WAITING)
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert pushed == [HEAD] and said(hub)[1:] == [("success", GOOD.description)]
    assert [item["conclusion"] for item in hub.checks] == ["success"]
    # Run again: it has its verdict.
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert len(pushed) == 1 and len(hub.statuses) == 2


@pytest.mark.parametrize(
    "description", ["judged when it targets main", "waiting for the run of workflow `pull request`"]
)
def test_what_waits_no_more_is_left_alone(here: Any, hub: Any, pushed: list[str], description: str) -> None:
    here.server.set_status(HEAD, "pending", WAITING)
    here.server.set_status(HEAD, "pending", description)
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert pushed == [] and len(hub.statuses) == 2


def test_a_target_that_changes_during_the_push_counts(
    here: Any, hub: Any, pushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    here.server.set_status(HEAD, "pending", WAITING)
    monkeypatch.setattr(push, "push", lambda *_: here.server.set_status(HEAD, "pending", "judged when it targets main"))
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert said(hub)[-1] == ("pending", "judged when it targets main")


def test_a_status_of_somebody_else_starts_no_push(here: Any, hub: Any, pushed: list[str]) -> None:
    hub.statuses.append({"sha": HEAD, "creator": {"login": "eve"}, "state": "pending", "description": WAITING,
                         "context": "mainline/verdict"})  # fmt: skip
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert pushed == [] and len(hub.statuses) == 1


def test_a_push_that_failed_says_so_and_goes_on_when_it_is_run_again(
    here: Any, hub: Any, pushed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: Any) -> None:
        raise UserError("s3://ours/x: the key was refused", "another key")

    here.server.set_status(HEAD, "pending", WAITING)
    with monkeypatch.context() as patch, pytest.raises(UserError, match="the key was refused"):
        patch.setattr(push, "push", refused)
        push_and_tell(HEAD, 1, GOOD.description, here)
    assert said(hub)[-1] == ("failure", f"{FAILED}: s3://ours/x: the key was refused")
    push_and_tell(HEAD, 1, GOOD.description, here)
    assert pushed == [HEAD] and said(hub)[-1] == ("success", GOOD.description)
