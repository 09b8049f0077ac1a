from __future__ import annotations

from pathlib import Path

import pytest

from mainline.monitor.tracker import Issue
from mainline.monitor.tracker_local import LocalTracker
from mainline.retrain.approval import LABEL, NotApproved, approved


class Known(LocalTracker):
    """A tracker that knows persons, as GitHub does: Grace may write, Mallory may not."""

    by: str = "grace"

    def may_write(self, user: str) -> bool:
        return user == "grace"

    def labelled_by(self, number: int, label: str) -> tuple[str, str] | None:
        return (self.by, "2026-11-21T10:00:00Z")


@pytest.fixture
def tracker(tmp_path: Path) -> Known:
    made = Known(tmp_path)
    made.create("Drift", "x", ("monitoring", LABEL))
    return made


def test_the_label_of_a_person_who_may_write_counts(tracker: Known) -> None:
    found = approved(tracker, 1)
    assert (found.by, found.when, found.issue) == ("grace", "2026-11-21T10:00:00Z", 1)


def test_the_label_of_somebody_else_does_not(tracker: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "by", "mallory")
    with pytest.raises(NotApproved, match="mallory") as caught:
        approved(tracker, 1)
    assert caught.value.by == "mallory" and isinstance(caught.value.issue, Issue)


@pytest.mark.parametrize(
    ("change", "words"),
    [({"open": False}, "is closed"), ({"labels": ("monitoring",)}, "nobody"), ({"labels": (LABEL,)}, "none of the")],
)
def test_an_issue_that_is_closed_unlabelled_or_another_s_is_no_approval(
    tracker: Known, change: dict[str, object], words: str
) -> None:
    tracker.update(1, **change)  # type: ignore[arg-type]
    with pytest.raises(NotApproved, match=words) as caught:
        approved(tracker, 1)
    assert caught.value.issue is None
    with pytest.raises(NotApproved, match="#9: none of the monitor's"):
        approved(tracker, 9)


def test_a_label_that_nobody_put_on_does_not_count(tracker: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Known, "labelled_by", lambda *_: None)
    with pytest.raises(NotApproved, match="nobody"):
        approved(tracker, 1)
