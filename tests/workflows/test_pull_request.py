"""Each case runs .github/workflows/pull-request.yml itself: real steps, real DVC, real git."""

from __future__ import annotations

import re
from typing import Any

import pytest

pytestmark = pytest.mark.slow


def states(place: Any) -> list[tuple[str, str]]:
    return [(item["sha"], item["state"]) for item in place.hub.statuses]


def test_words_alone_get_their_status_without_training(place: Any) -> None:
    head = place.edit("README.md", lambda text: text + "\nMore.\n")
    outcome = place.run(real=True)
    assert outcome.code == 0
    assert states(place) == [(head, "success")] and "documentation only" in place.hub.statuses[0]["description"]
    assert "mainline ci train" not in outcome.log and not outcome.artifact.exists()
    assert outcome.log.count("setting up .venv from requirements.lock") == 1
    assert place.origin == head and place.hub.comments == []


def test_changed_params_are_trained_and_locked_on_the_branch(place: Any) -> None:
    head = place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.5"))
    outcome = place.run()
    assert outcome.code == 0
    assert place.origin != head and states(place) == [(place.origin, "success")]
    assert outcome.json("verdict.json")["head"]["commit"] == place.origin
    assert (place.top / "said").read_text().startswith("comment update --target=pr/7 --publish=false ")


def test_a_worse_model_is_red_and_still_reported(place: Any) -> None:
    place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.0000001"))
    outcome = place.run()
    assert outcome.code != 0
    assert states(place) == [(place.origin, "failure")] and "reject" in place.hub.statuses[0]["description"]
    assert "reject" in (place.top / "said").read_text()


def test_a_fork_is_judged_without_writing_and_reported_by_our_own_workflow(place: Any) -> None:
    head = place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.5"))
    outcome = place.run(home="eve/loans")
    assert outcome.code != 0 and "may not write to a fork" in outcome.log
    assert place.origin == head and place.hub.calls == []
    assert outcome.json("pull_request.json") == {"number": 7, "head": head}
    assert (outcome.artifact / "report.md").is_file() and (outcome.artifact / "dvc.lock").is_file()
    place.hub.pulls[7] = {"head": {"sha": head, "repo": {"full_name": "eve/loans"}}}
    taken = place.report(head, "eve/loans", "failure")
    assert taken.code == 0
    assert states(place) == [(head, "failure")] and "a claim" in place.hub.comments[0]["body"]


def test_a_cml_that_fails_warns_and_changes_nothing_else(place: Any) -> None:
    head = place.edit("src/mainline/evaluate/__init__.py", lambda text: text + "# touched\n")
    place.cml("echo canvas is broken >&2; exit 1")
    place.hub.refuse["/comments"] = 403
    outcome = place.run()
    assert outcome.code == 0
    assert "canvas is broken" in outcome.log
    assert place.origin != head and states(place) == [(place.origin, "success")]


def test_bad_data_are_red_and_named(place: Any) -> None:
    place.dvc("pull", "--quiet", "data.dvc")
    batch = place.clone / "data" / "2009-05.csv"
    batch.write_text(batch.read_text().replace(",cellular,", ",CELLULAR,"), encoding="utf-8")
    place.dvc("add", "--quiet", "data")
    place.dvc("push", "--quiet", "data.dvc")
    head = place.push("New batch")
    outcome = place.run()
    assert outcome.code != 0
    assert states(place) == [(head, "failure")] and "no verdict" in place.hub.statuses[0]["description"]
    assert place.origin == head and not (outcome.artifact / "verdict.json").exists()
    assert "CELLULAR" in outcome.log and "contact" in (outcome.artifact / "report.md").read_text()


def test_an_identical_model_is_made_again_and_promoted_as_it_is(place: Any) -> None:
    """Nothing of an earlier run is there, so the run proves the lock by training, and the champion's by building it."""
    place.forget()
    head = place.edit("Makefile", lambda text: text + "\n# touched\n")
    outcome = place.run()
    assert outcome.code == 0
    assert "dvc.lock fits code, data and params" in outcome.log and "fitting 13 features" in outcome.log
    assert place.origin == head and states(place) == [(head, "success")]
    assert outcome.json("verdict.json")["case"] == "identical model"
    assert "byte for byte" in place.hub.statuses[0]["description"]
    assert "byte for byte" in (place.top / "said").read_text()


def test_a_lock_that_its_author_committed_is_left_alone(place: Any) -> None:
    # Given an author who has run the pipeline, and whose objects an earlier run of this pull request has kept
    place.dvc("config", "--quiet", "--local", "cache.dir", str(place.top / "cache-of-dvc"))
    place.edit("params.yaml", lambda text: text.replace("C: 1.0", "C: 0.9"))
    place.dvc("pull", "--quiet", "data.dvc")
    place.dvc("repro", "--quiet")
    head = place.push("Lock")
    outcome = place.run()
    assert outcome.code == 0
    assert place.origin == head and states(place) == [(head, "success")]
    assert outcome.json("verdict.json")["case"] == "compared"
    assert "dvc.lock fits code, data and params" in outcome.log and "fitting" not in outcome.log


def test_an_object_that_is_in_no_remote_is_rejected_by_name(place: Any) -> None:
    place.dvc("pull", "--quiet", "data.dvc")
    batch = place.clone / "data" / "2009-05.csv"
    text = batch.read_text(encoding="utf-8")
    batch.unlink()
    batch.write_text(text[: text.rstrip("\n").rindex("\n") + 1], encoding="utf-8")
    place.dvc("add", "--quiet", "data")
    head = place.push("A batch that nobody pushed")
    outcome = place.run()
    assert outcome.code != 0
    assert place.origin == head and states(place) == [(head, "failure")]
    assert not (outcome.artifact / "verdict.json").exists()
    named = r"data\.dvc: the batches are not all in the remote: data \(\w{32}\.dir\)"
    for text in (outcome.log, (outcome.artifact / "report.md").read_text(), place.hub.checks[0]["output"]["summary"]):
        assert re.search(named, text), text
    assert "not all in the remote" in (place.top / "said").read_text()
