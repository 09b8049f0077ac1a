"""The labels are made once, whoever made some of them before, and a refusal is said."""

from __future__ import annotations

from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci.labels import LABELS
from mainline.cli import app


@pytest.fixture
def labelled(hub: Any, api: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stand-in for GitHub that keeps labels and, like GitHub, does not tell large letters from small ones."""
    kept: list[dict[str, Any]] = [{"name": f"label {number}"} for number in range(100)]
    plain = hub.answer

    def answer(method: str, path: str, body: dict[str, Any], query: dict[str, str]) -> tuple[int, Any]:
        if path != "/labels" or path in hub.refuse:
            return plain(method, path, body, query)  # type: ignore[no-any-return]
        if method == "GET":
            size, page = int(query["per_page"]), int(query["page"])
            return 200, kept[(page - 1) * size : page * size]
        if body["name"].lower() in {item["name"].lower() for item in kept}:
            return 422, {"message": "Validation Failed"}
        kept.append(body)
        return 201, body

    monkeypatch.setattr(hub, "answer", answer)
    monkeypatch.setenv("GITHUB_TOKEN", api.TOKEN)
    hub.kept = kept
    return hub


def call(hub: Any, *arguments: str) -> tuple[int, str]:
    environment = {"GITHUB_REPOSITORY": "ada/loans", "GITHUB_API_URL": hub.url}
    done = CliRunner().invoke(app, ["github", "labels", *arguments], env=environment)
    return done.exit_code, done.output


def test_labels_are_made_once_and_those_that_are_there_are_left_alone(labelled: Any) -> None:
    labelled.kept.append({"name": "Mute", "color": "ff0000"})  # on the second page
    assert call(labelled) == (0, "✓ label retrain-approved: made\n✓ label mute: is there\n")
    assert call(labelled)[1].count("is there") == 2
    made = [item for item in labelled.kept if item["name"].lower() in LABELS]
    assert [item["color"] for item in made] == ["ff0000", "0e8a16"]
    assert all(len(item.get("description", "")) <= 100 for item in made), "GitHub's bound"


def test_a_label_that_somebody_makes_at_the_same_moment_is_no_error(labelled: Any) -> None:
    labelled.once.append(("POST /labels", 422, {}))
    assert call(labelled)[0] == 0


def test_a_token_that_may_not_make_labels_is_said(labelled: Any) -> None:
    labelled.refuse["/labels"] = 403
    code, text = call(labelled)
    assert code == 1 and "403" in text and "permission" in text
