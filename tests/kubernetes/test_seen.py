"""What kubectl printed, read: answers of Argo Rollouts' v1alpha1, and what is missing or contradicts itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mainline.errors import UserError
from mainline.rollout.kubernetes.seen import Pods, Seen, read

OLD = Pods("bank-aaaaaaaaaaaa", "shop.example/bank@sha256:" + "a" * 64)
NEW = Pods("bank-bbbbbbbbbbbb", "shop.example/bank@sha256:" + "b" * 64)


def test_a_candidate_on_its_way_is_told_from_stable_by_its_replica_set(argo: Any) -> None:
    argo.weigh(5, 4)
    seen = read(argo.answer(), "bank")
    assert (seen.stable, seen.current, seen.weight, seen.step) == (OLD, NEW, 5, 4)
    assert seen.settled and not seen.promoted and not seen.only and not seen.aborted
    assert seen.pause == "", "a step's own pause ends by itself"
    assert seen.message == "", "what only says that it pauses is no message"


def test_a_promotion_and_a_first_deployment(argo: Any, empty: Any) -> None:
    argo.promote()
    seen = read(argo.answer(), "bank")
    assert seen.promoted and not seen.only and seen.stable == NEW and seen.phase == "Healthy"
    empty.sync(argo.images[1])
    first = read(empty.answer(), "bank")
    assert first.promoted and first.only


def test_equal_pods_of_another_template_are_not_the_stable_ones(argo: Any) -> None:
    answer = argo.answer()
    sets = [item for item in answer["items"] if item["kind"] == "ReplicaSet"]
    sets[1]["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/version"] = OLD.release
    sets[1]["spec"]["template"]["spec"]["containers"][1]["image"] = OLD.image
    seen = read(answer, "bank")
    assert seen.stable == seen.current and not seen.promoted


def test_an_abort_tells_every_measurement_that_did_not_succeed(argo: Any, run_of: Callable[..., Any]) -> None:
    new = argo.status["currentPodHash"]
    argo.runs = [
        run_of(new, 5, "Failed", traffic=("Successful", "[1.4]"), errors=("Failed", "[7.25]")),
        run_of(new, 2, "Successful", traffic=("Successful", "[3]")),
        run_of("older", 5, "Failed", scores=("Failed", "[0.9]")),
    ]
    argo.abort('Metric "errors" assessed Failed due to failed (1) > failureLimit (0)')
    seen = read(argo.answer(), "bank")
    assert seen.aborted and seen.weight == 0
    assert 'Metric "errors" assessed Failed' in seen.reason() and "errors: Failed ([7.25])" in seen.reason()
    assert [run["step"] for run in seen.figures()["analysis"]] == ["2", "5"], "of this revision, oldest first"
    assert "scores" not in seen.reason()


def test_a_step_analysis_that_says_more_than_the_rollout_is_told_once(argo: Any) -> None:
    argo.abort("")
    argo.status["canary"]["currentStepAnalysisRunStatus"] = {"name": "x", "status": "Failed", "message": "too slow"}
    assert read(argo.answer(), "bank").reason().endswith("; too slow")
    argo.status["message"] = "RolloutAborted: too slow"
    assert read(argo.answer(), "bank").reason() == "RolloutAborted: too slow"
    del argo.status["message"], argo.status["canary"]["currentStepAnalysisRunStatus"]
    assert read(argo.answer(), "bank").reason() == "it gave no reason"


@pytest.mark.parametrize(
    ("change", "pause"),
    [
        ({"pauseConditions": [{"reason": "InconclusiveAnalysisRun", "startTime": "t"}]},
         "InconclusiveAnalysisRun since t"),
        ({"pauseConditions": [{"reason": "CanaryPauseStep", "startTime": "t1"}]}, ""),
        ({"pauseConditions": []}, ""),
        ({}, ""),
    ],
)  # fmt: skip
def test_only_what_a_person_has_to_end_is_a_pause(argo: Any, change: dict[str, Any], pause: str) -> None:
    argo.status |= change
    assert read(argo.answer(), "bank").pause == pause
    argo.spec = {"paused": True}
    assert read(argo.answer(), "bank").pause == "paused by hand"


UNSETTLED: dict[str, Callable[[Any], Any]] = {
    "an older Rollout was observed": lambda argo: argo.status.update(observedGeneration="1"),
    "nothing was observed": lambda argo: argo.status.pop("observedGeneration"),
    "an older Deployment was observed": lambda argo: argo.status.update(workloadObservedGeneration="1"),
    "no Deployment was observed": lambda argo: argo.status.pop("workloadObservedGeneration"),
    "its pods are not there yet": lambda argo: argo.images.pop(),
    "somebody has ended a pause": lambda argo: argo.status.update(controllerPause=True, pauseConditions=[]),
    "there is no current hash": lambda argo: argo.status.pop("currentPodHash"),
}


@pytest.mark.parametrize("change", UNSETTLED.values(), ids=UNSETTLED)
def test_what_argo_has_not_seen_yet_is_not_settled(argo: Any, change: Callable[[Any], Any]) -> None:
    assert read(argo.answer(), "bank").settled
    change(argo)
    assert not read(argo.answer(), "bank").settled


def test_a_deployment_that_argo_has_not_noted_is_not_settled(argo: Any) -> None:
    answer = argo.answer()
    del answer["items"][0]["metadata"]["annotations"]
    assert not read(answer, "bank").settled
    del answer["items"][0]["status"]["workloadObservedGeneration"]
    assert not read(answer, "bank").settled, "two things that are not known are not equal"


def test_a_cluster_without_the_rollout_and_one_without_a_status(empty: Any, argo: Any) -> None:
    assert read(empty.answer(), "bank") == Seen()
    assert read(argo.answer(), "loans") == Seen(), "another one's does not count"
    answer = argo.answer()
    del answer["items"][0]["status"]
    assert not read(answer, "bank").settled and read(answer, "bank").stable is None


BROKEN: dict[str, tuple[Callable[[Any], Any], str]] = {
    "no items": (lambda answer: answer.pop("items"), "items"),
    "a stable hash without pods": (lambda answer: answer["items"].pop(1), "stableRS"),
    "a weight that is none": (
        lambda answer: answer["items"][0]["status"]["canary"].update(weights={"canary": {"weight": 300}}), "300"),
    "a weight without number": (
        lambda answer: answer["items"][0]["status"]["canary"].update(weights={"stable": {}}), "canary"),
    "pods without a release": (
        lambda answer: answer["items"][1]["spec"]["template"]["metadata"]["labels"].clear(), "version"),
    "pods without the service": (
        lambda answer: answer["items"][1]["spec"]["template"]["spec"]["containers"].pop(), "ValueError"),
    "a step that is none": (lambda answer: answer["items"][0]["status"].update(currentStepIndex="soon"), "soon"),
    "an item that is none": (lambda answer: answer["items"].insert(0, None), "NoneType"),
}  # fmt: skip


@pytest.mark.parametrize(("broken", "words"), BROKEN.values(), ids=BROKEN)
def test_an_answer_that_is_none_is_refused(argo: Any, broken: Callable[[Any], Any], words: str) -> None:
    answer = argo.answer()
    broken(answer)
    with pytest.raises(UserError, match=f"not one of Argo Rollouts.*{words}"):
        read(answer, "bank")
