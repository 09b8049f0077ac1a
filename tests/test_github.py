from __future__ import annotations

import json
from typing import Any

import pytest

from mainline import github, github_call
from mainline.errors import UserError
from mainline.github import GitHub, connect, fit
from mainline.github_call import Refused, Unanswered

HEAD = "a" * 40


@pytest.fixture
def server(hub: Any, api: Any, pauses: list[float]) -> GitHub:
    return GitHub("ada/loans", api.TOKEN, hub.url, pauses.append)


@pytest.fixture
def pauses() -> list[float]:
    return []


def test_a_status_is_set_with_a_description_that_fits(hub: Any, server: GitHub) -> None:
    server.set_status(HEAD, "failure", "reject:\n " + "x" * 300)
    (status,) = hub.statuses
    assert (status["sha"], status["state"], status["context"]) == (HEAD, "failure", "mainline/verdict")
    assert len(status["description"]) == 140 and status["description"].endswith("…")


@pytest.mark.parametrize("commit", ["", "main", "a" * 39, "../" + HEAD])
def test_a_status_needs_a_full_hash(hub: Any, server: GitHub, commit: str) -> None:
    with pytest.raises(UserError, match="full hash"):
        server.set_status(commit, "success", "")
    assert hub.calls == []


def test_the_second_comment_replaces_the_first(hub: Any, server: GitHub) -> None:
    server.comment(7, "first")
    server.comment(8, "another")
    server.comment(7, "second")
    assert [(item["issue"], item["body"].splitlines()[-1]) for item in hub.comments] == [(7, "second"), (8, "another")]


def test_a_person_who_writes_the_mark_is_not_overwritten(hub: Any, server: GitHub) -> None:
    hub.comments.append({"id": 1, "issue": 7, "user": {"type": "User"}, "body": github.MARK + " mine"})
    server.comment(7, "report")
    assert len(hub.comments) == 2 and hub.comments[0]["body"].endswith("mine")


def test_a_ruleset_of_the_same_name_is_updated(hub: Any, server: GitHub) -> None:
    assert server.apply_ruleset({"name": "main", "rules": []}) == "created"
    assert server.apply_ruleset({"name": "main", "rules": [1]}) == "updated"
    assert [item["rules"] for item in hub.rulesets] == [[1]]


def test_a_refusal_names_call_reason_and_fix_but_no_token(hub: Any, server: GitHub, api: Any) -> None:
    hub.refuse["/statuses/"] = 403
    with pytest.raises(UserError) as told:
        server.set_status(HEAD, "success", "")
    assert "POST statuses/" in told.value.problem and "403 (Resource not accessible" in told.value.problem
    assert "permission" in told.value.fix and api.TOKEN not in str(told.value)


def test_a_wrong_token_is_a_users_mistake(hub: Any) -> None:
    with pytest.raises(UserError, match="401"):
        GitHub("ada/loans", "wrong", hub.url).pull_request(7)


def test_no_answer_is_a_users_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github_call, "SECONDS", 0.5)
    with pytest.raises(UserError, match="no answer"):
        GitHub("ada/loans", "t", "http://127.0.0.1:9", lambda _: None).pull_request(7)


@pytest.mark.parametrize("raw", [b"<html>", b"\xff"])
def test_an_answer_that_is_no_json_is_a_users_mistake(hub: Any, server: GitHub, raw: bytes) -> None:
    hub.pulls[7], hub.raw = {"number": 7}, raw
    with pytest.raises(UserError, match="no answer"):
        server.pull_request(7)


@pytest.mark.parametrize("code", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(hub: Any, server: GitHub, code: int) -> None:
    hub.refuse["/pulls/"], hub.commits["main"] = code, HEAD
    with pytest.raises(UserError, match=str(code)) as told:
        server.pull_request(7)
    assert hub.calls == ["GET /pulls/7"]
    assert ("was renamed or moved" in told.value.problem and "GITHUB_REPOSITORY" in told.value.fix) is (code != 302)


def test_what_a_plan_lacks_is_named(hub: Any, server: GitHub) -> None:
    hub.refuse["/rulesets"] = 403
    hub.message = "Upgrade to GitHub Pro or make this repository public to enable this feature."
    with pytest.raises(Refused, match="Upgrade to GitHub") as told:
        server.apply_ruleset({"name": "main", "rules": []})
    assert "this plan has no rulesets for private repositories" in told.value.fix


def test_what_is_switched_off_is_named(hub: Any, server: GitHub) -> None:
    hub.refuse["/issues"] = 410
    with pytest.raises(Refused, match="410") as told:
        server.open_issue("<!-- x -->", "release")
    assert "Settings, General, Features, Issues" in told.value.fix


def test_the_default_branch_and_the_people_are_asked_of_the_api(hub: Any, server: GitHub) -> None:
    hub.default_branch = "trunk"
    assert (server.default_branch(), server.writers()) == ("trunk", 2)
    hub.raw = b"{}"
    with pytest.raises(UserError, match="no default branch"):
        server.default_branch()


def test_artifacts_beyond_a_page_are_found(hub: Any, server: GitHub, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever uploads a hundred of the same name does not push the true one out."""
    monkeypatch.setattr(type(hub), "held", lambda _: ["release-x"] * 150)
    hub.uploaded.update({number: {"head_repository_id": 8} for number in range(2, 151)})
    assert list(server.artifacts("release-x", ".github/workflows/release.yml")) == [1]
    assert len([call for call in hub.calls if call.startswith("GET /actions/runs/")]) == 1


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("GITHUB_REPOSITORY", "ada/loans/../x", "not owner/name"),
        ("GITHUB_TOKEN", "", "no token"),
        ("GITHUB_TOKEN", "a\nb", "no token"),
        ("GITHUB_API_URL", "http://example.org", "unencrypted"),
    ],
)
def test_a_wrong_environment_is_named(name: str, value: str, words: str) -> None:
    sound = {"GITHUB_REPOSITORY": "ada/loans", "GITHUB_TOKEN": "t", "GITHUB_API_URL": "https://example.org/api/v3"}
    assert connect(sound).api == sound["GITHUB_API_URL"]
    with pytest.raises(UserError, match=words):
        connect(sound | {name: value})


def test_a_long_text_is_cut_at_a_line_and_says_so() -> None:
    text = fit("ä" * 50 + "\n" + "é" * 100_000)
    assert len(text.encode()) <= github.LARGEST_BODY and text.startswith("ä" * 50 + "\n") and "artifact" in text
    assert fit("short") == "short"
    assert json.dumps(text)


@pytest.mark.parametrize(
    ("code", "headers", "expected"),
    [
        (429, {"Retry-After": "7"}, [7.0]),
        (429, {}, [60.0]),
        (403, {"Retry-After": "2"}, [2.0]),
        (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1"}, [1.0]),
        (502, {}, [1.0]),
        (0, {}, [1.0]),
    ],
)
def test_what_passes_is_tried_again(
    hub: Any, server: GitHub, pauses: list[float], code: int, headers: dict[str, str], expected: list[float]
) -> None:
    hub.pulls[7] = {"number": 7}
    hub.once.append(("GET /pulls/7", code, headers))
    assert server.pull_request(7) == {"number": 7}
    assert pauses == expected


def test_attempts_are_bounded_and_the_end_is_a_users_error(hub: Any, server: GitHub, pauses: list[float]) -> None:
    hub.once += [("/pulls/7", 503, {})] * 9
    with pytest.raises(Unanswered, match="503"):
        server.pull_request(7)
    assert pauses == [1.0, 3.0, 9.0] and len(hub.calls) == 4
    hub.once[:] = [("/pulls/7", 429, {"Retry-After": "1"})] * 9
    with pytest.raises(Refused, match="a rate limit"):
        server.pull_request(7)
    assert len(hub.calls) == 8


@pytest.mark.parametrize(
    ("code", "headers"),
    [(403, {}), (403, {"X-RateLimit-Remaining": "12"}), (404, {}), (429, {"Retry-After": "3600"})],
)
def test_a_refusal_and_a_long_limit_are_not_waited_for(
    hub: Any, server: GitHub, pauses: list[float], code: int, headers: dict[str, str]
) -> None:
    hub.once.append(("/pulls/7", code, headers))
    with pytest.raises(Refused, match=str(code)) as told:
        server.pull_request(7)
    assert told.value.code == code and pauses == [] and len(hub.calls) == 1


def test_a_post_without_an_answer_may_have_been_carried_out_and_is_not_repeated(hub: Any, server: GitHub) -> None:
    hub.once.append(("POST /statuses/", 0, {}))
    hub.lost = True
    with pytest.raises(Unanswered):
        server.set_status(HEAD, "success", "")
    assert len(hub.statuses) == 1
    # A limited call was not carried out.
    hub.lost = False
    hub.once.append(("POST /statuses/", 429, {"Retry-After": "0"}))
    server.set_status(HEAD, "success", "")
    assert len(hub.statuses) == 2
