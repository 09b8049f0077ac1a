"""Repositories in which all is well, as GitHub's plans and people's circumstances make them: the list is green."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainline.doctor.show import show

ROOT = Path(__file__).parents[2]


def alone(place: Any) -> None:
    """Make it a public repository of one person, with what the template brings and nothing optional."""
    kept = shutil.copytree(place.top / "store", place.repo / ".dvc" / "embedded")
    next(file for file in Path(kept).rglob("*") if file.is_file() and file.read_bytes() == b"model").unlink()
    embedded = "[core]\n    remote = embedded\n['remote \"embedded\"']\n    url = embedded\n"
    (place.repo / ".dvc" / "config").write_text(embedded, encoding="utf-8")
    place.more["/collaborators"].pop()
    for rule in place.more["/rules/branches/main"]:
        if rule["type"] == "pull_request":
            rule["parameters"].update(required_approving_review_count=0, require_code_owner_review=False)
    place.more["/environments"]["environments"][1]["protection_rules"] = []
    place.more["/actions/secrets"] = place.more["/dependabot/secrets"] = {"secrets": []}
    for file in (place.repo / ".github" / "workflows").iterdir():
        text = file.read_text(encoding="utf-8").replace("secrets.STORAGE_KEY", "secrets.AWS_ACCESS_KEY_ID")
        file.write_text(text, encoding="utf-8")
    place.params(serve__api_key_env=None)
    del place.more["/actions/variables/MAINLINE_LOG"]
    place.more["/labels"].clear()
    place.more["/actions/permissions/workflow"] = {"can_approve_pull_request_reviews": False}


def private_free(place: Any) -> None:
    """Make it private, on GitHub Free: no rulesets, no rules for environments, no reviewers."""
    alone(place)
    place.more[""]["visibility"] = "private"
    place.lacks("/rules/branches/main", "/rules/branches/deploy", "/rulesets")
    place.more["/environments"]["environments"] = [
        {"name": name, "protection_rules": [], "deployment_branch_policy": None} for name in ("staging", "production")
    ]


def organisation(place: Any) -> None:
    """Make it an organisation's that allows GitHub's own actions only."""
    place.more["/actions/permissions"]["allowed_actions"] = "selected"
    chosen = {"github_owned_allowed": True, "verified_allowed": False, "patterns_allowed": []}
    place.more["/actions/permissions/selected-actions"] = chosen
    for file in (place.repo / ".github" / "workflows").iterdir():
        if file.name != "comment.yml":  # CML's action is in a workflow that nothing waits for
            text = file.read_text(encoding="utf-8").replace("uses: x/y@", "uses: actions/checkout@")
            file.write_text(text, encoding="utf-8")


def private_team(place: Any) -> None:
    """Make it private on a plan with rulesets and environments, and without reviewers."""
    place.more[""]["visibility"] = "private"
    place.more["/environments"]["environments"][1]["protection_rules"] = []


@pytest.mark.parametrize("make", [alone, private_free, organisation, private_team], ids=lambda made: made.__name__)
def test_where_all_is_well_the_list_is_green(
    place: Any, make: Callable[[Any], None], capsys: pytest.CaptureFixture[str]
) -> None:
    make(place)
    findings = place.look()
    assert show(findings, as_json=False) == 0, [item for item in findings if item.status in ("gap", "broken")]
    assert "nothing required is missing" in capsys.readouterr().out
    assert [item.check for item in findings if item.status == "unknown"] == []


def test_on_a_plan_without_rules_the_list_says_what_stays_advice(place: Any) -> None:
    private_free(place)
    optional = {item.check: item.text for item in place.look() if item.status == "optional"}
    assert {"plan", "rules of main", "rules of deploy", "environments", "reviewers", "storage"} <= set(optional)
    assert "require_verdict" in optional["rules of main"] and "do not block" in optional["plan"]


def test_a_copy_as_the_template_makes_it_lists_what_is_to_do_in_order(place: Any) -> None:
    """A public copy on which nothing has been clicked yet."""
    alone(place)
    shutil.copy(ROOT / ".github" / "CODEOWNERS", place.repo / ".github" / "CODEOWNERS")
    place.edit(".github/CODEOWNERS", "/params.yaml", "/params.yaml @your-org/ml-owners #")
    place.more["/rules/branches/main"] = place.more["/rules/branches/deploy"] = []
    place.more["/environments"] = {"environments": []}
    findings = place.look()
    to_do = [(item.check, item.fix) for item in findings if item.status in ("gap", "broken")]
    assert [name for name, _ in to_do] == ["code owners", "rules of main", "rules of deploy", "environments"]
    assert [item.step for item in findings] == list(range(1, len(findings) + 1))
    assert all(item.gives for item in findings)
    assert show(findings, as_json=True) == 1


def test_each_thing_that_is_required_and_missing_ends_with_exit_code_1(
    place: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    alone(place)
    place.more["/actions/permissions"] = {"enabled": False}
    assert show(place.look(), as_json=True) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["counts"]["gap"], found["counts"]["broken"]) == (1, 0)
