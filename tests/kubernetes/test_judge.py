"""What follows from git, folder and cluster: every case that Argo Rollouts can leave them in, as one table."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mainline.release.state import State
from mainline.rollout.kubernetes.judge import judge
from mainline.rollout.kubernetes.seen import Pods, Seen

S, C, X = "bank-s", "bank-c", "bank-x"
IMAGES = {name: f"shop.example/{name}@sha256:{'a' * 64}" for name in (S, C, X)}
OLD, NEW, OTHER = (Pods(name, IMAGES[name]) for name in (S, C, X))

IDLE = State("production", stable=S)
TRIED = State("production", stable=S, candidate=C)
AT_5 = replace(TRIED, phase="canary", weight=5)
FIRST = State("production", candidate=C)

SERVES = Seen(True, "Healthy", "", OLD, OLD, promoted=True)
BEGUN = Seen(True, "Progressing", "more replicas need to be updated", OLD, NEW)
AT_FIVE = replace(BEGUN, phase="Paused", message="", weight=5, step=4)
PROMOTED = replace(SERVES, stable=NEW, current=NEW)
ABORTED = replace(BEGUN, phase="Degraded", message="RolloutAborted: errors", aborted=True)
ALONE = Seen(True, "Healthy", "", NEW, NEW, promoted=True, only=True)

TABLE: list[tuple[str, State, str | None, Seen | None, str, str]] = [
    # nothing is tried
    ("no release yet", State("production"), None, Seen(), "wait", "no release yet"),
    ("the folder is not there", IDLE, None, SERVES, "name", S),
    ("the folder names another", IDLE, C, None, "name", S),
    ("stable serves", IDLE, S, SERVES, "wait", "answers everybody"),
    ("the cluster is empty", IDLE, S, Seen(), "wait", "has nothing and has not taken"),
    ("the candidate that was dropped is still there", IDLE, S, AT_FIVE, "wait", f"has {C} and has not taken"),
    ("stable is read by half", IDLE, S, replace(SERVES, settled=False), "wait", "has not taken"),
    ("stable takes over", IDLE, S, replace(AT_FIVE, stable=NEW, current=OLD), "wait", "takes over from bank-c: 5 %"),
    ("stable was aborted", IDLE, S, replace(ABORTED, stable=NEW, current=OLD), "refuse", "does not give bank-s"),
    ("stable is paused", IDLE, S, replace(AT_FIVE, stable=NEW, current=OLD, pause="x"), "refuse", "does not give"),
    ("stable breaks down", IDLE, S, replace(SERVES, phase="Degraded", message="x"), "refuse", "is Degraded"),
    ("stable grows", IDLE, S, replace(SERVES, phase="Progressing"), "wait", "is Progressing"),
    ("nobody can be asked", IDLE, S, None, "wait", "could not be asked"),
    # somebody else's doing
    ("an unknown release", IDLE, S, replace(SERVES, current=Pods("odd", "odd:1")), "refuse", "does not know"),
    ("an unknown stable", AT_5, C, replace(AT_FIVE, stable=Pods("odd", "odd:1")), "refuse", "odd, which the ledger"),
    ("another image", AT_5, C, replace(AT_FIVE, current=Pods(C, "odd:1")), "refuse", "from odd:1, the ledger has shop"),
    ("another stable", AT_5, C, replace(AT_FIVE, stable=OTHER), "refuse", "stable is bank-x, git's is bank-s"),
    # the candidate gets into the cluster
    ("stable serves: now the candidate", TRIED, S, SERVES, "name", C),
    ("no folder, stable serves", TRIED, None, SERVES, "name", C),
    ("no folder, empty cluster", TRIED, None, Seen(), "name", S),
    ("stable comes first", TRIED, S, Seen(), "wait", "waits until bank-s serves"),
    ("stable is not healthy", TRIED, S, replace(SERVES, phase="Progressing"), "wait", "waits until bank-s serves"),
    ("stable is not read", TRIED, S, replace(SERVES, settled=False), "wait", "waits until bank-s serves"),
    ("the one before is still there", TRIED, S, replace(AT_FIVE, current=OTHER), "wait", "still has bank-x"),
    ("its own abort is still there", TRIED, S, ABORTED, "wait", "waits until bank-s serves"),
    ("not taken yet", TRIED, C, SERVES, "wait", "has not taken bank-c yet"),
    ("pods not there yet", TRIED, C, replace(SERVES, current=None, settled=False, promoted=False), "wait", "is taking"),
    ("half read", TRIED, C, replace(PROMOTED, settled=False), "wait", "is taking"),
    ("built anew meanwhile", AT_5, C, Seen(), "name", S),
    ("nobody can be asked", AT_5, C, None, "wait", "could not be asked"),
    # its way
    ("begun", TRIED, C, BEGUN, "wait", "0 % of the users"),
    ("first step", TRIED, C, AT_FIVE, "step", "5 % (step 4) after 0 %"),
    ("same step", AT_5, C, AT_FIVE, "wait", "5 % of the users"),
    ("steps begin again", replace(AT_5, weight=25), C, AT_FIVE, "hold", "5 % (step 4) after 25 %"),
    ("a person has to look", AT_5, C, replace(AT_FIVE, pause="Inconclusive since t"), "hold", "for a person"),
    ("broken, not aborted", AT_5, C, replace(AT_FIVE, phase="Degraded", message="Invalid: x"), "hold", "Invalid: x"),
    ("aborted", AT_5, C, ABORTED, "abort", "aborted it after 5 %: RolloutAborted: errors"),
    ("promoted", AT_5, C, PROMOTED, "promote", "made it stable"),
    ("promoted, not healthy", AT_5, C, replace(PROMOTED, phase="Degraded"), "wait", "for Argo Rollouts, and Degraded"),
    ("promoted, of no known phase", AT_5, C, replace(PROMOTED, phase=""), "wait", "stable for Argo Rollouts, and"),
    ("built anew with it", AT_5, C, ALONE, "abort", "built anew"),
    ("being built anew with it", AT_5, C, replace(ALONE, stable=None, promoted=False), "abort", "built anew"),
    # the first release of all
    ("first: no folder", FIRST, None, Seen(), "name", C),
    ("first: not taken", FIRST, C, Seen(), "wait", "has not taken"),
    ("first: starts", FIRST, C, replace(ALONE, stable=None, promoted=False, phase="Progressing"), "wait", "0 %"),
    ("first: serves", FIRST, C, ALONE, "promote", "first release"),
    ("first: never ready", FIRST, C, replace(ABORTED, stable=None), "abort", "RolloutAborted"),
    ("first, after one that was aborted", FIRST, X, replace(SERVES, stable=OTHER, current=OTHER), "name", C),
    ("first, against one that was aborted", FIRST, C, replace(AT_FIVE, stable=OTHER), "step", "5 %"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "named", "seen", "kind", "words"), [row[1:] for row in TABLE],
                         ids=[f"{row[0]} {number}" for number, row in enumerate(TABLE)])  # fmt: skip
def test_each_case_has_its_answer(state: State, named: str | None, seen: Any, kind: str, words: str) -> None:
    found = judge(state, named, seen, IMAGES, 10.0, 100.0)
    assert found.kind == kind, found
    assert words in (found.release if kind == "name" else found.why), found


def test_only_what_the_cluster_does_counts_as_done() -> None:
    done = {name for name, *row, _, _ in TABLE if judge(*row, IMAGES, 10.0, 100.0).done}
    assert done == {"no release yet", "stable serves", "begun", "first step", "same step", "steps begin again",
                    "a person has to look", "broken, not aborted", "promoted", "first: starts", "first: serves",
                    "first, against one that was aborted"}  # fmt: skip


@pytest.mark.parametrize("seen", [None, SERVES, AT_FIVE], ids=["blind", "serves", "on its way"])
def test_a_candidate_without_an_image_is_aborted_at_once(seen: Any) -> None:
    for images in ({**IMAGES, C: ""}, {S: IMAGES[S]}):
        found = judge(TRIED, S, seen, images, 10.0, 100.0)
        assert found.kind == "abort" and f"no image of it (`mainline release image {C}" in found.why


def test_a_stable_release_whose_image_nobody_entered_is_refused() -> None:
    found = judge(IDLE, S, SERVES, {**IMAGES, S: ""}, 0.0, 0.0)
    assert found.kind == "refuse" and "the ledger has no image of it" in found.why


@pytest.mark.parametrize(
    ("named", "seen", "kind"),
    [(C, AT_FIVE, "abort"), (C, replace(AT_FIVE, weight=25), "abort"), (C, SERVES, "abort"), (S, Seen(), "abort"),
     (C, replace(PROMOTED, phase="Progressing"), "abort"), (C, PROMOTED, "promote"),
     (C, replace(AT_FIVE, stable=OTHER), "refuse"), (C, None, "wait")],
)  # fmt: skip
def test_after_its_time_it_is_aborted_unless_it_is_done_or_nobody_can_see(named: str, seen: Any, kind: str) -> None:
    found = judge(AT_5, named, seen, IMAGES, 101.0, 100.0)
    assert found.kind == kind
    assert kind != "abort" or "not done after 101 s (100 s at most)" in found.why
    assert judge(AT_5, named, seen, IMAGES, 100.0, 100.0).kind != "abort"
