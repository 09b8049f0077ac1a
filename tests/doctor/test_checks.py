"""Each check sees its fault, and names what mends it; in the sound place, from which every test starts, all are ok."""

from __future__ import annotations

import datetime as dt
import json
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mainline.ci.monitor_state import Beat, put_beat
from mainline.doctor import actions, pipeline, serving, storage
from mainline.doctor.levels import lacking, reached
from mainline.doctor.run import CHECKS
from mainline.errors import UserError
from mainline.release.ledger import Deploy

ROOT = Path(__file__).parents[2]
NOW = dt.datetime(2010, 1, 10, 12, tzinfo=dt.UTC)
BLIND = "<!-- mainline:monitor:blind -->\nwhy"


def test_where_everything_is_live_every_check_is_ok_and_the_level_is_the_highest(hosted: Any) -> None:
    findings = hosted.look()
    assert [(item.check, item.text) for item in findings if item.status != "ok"] == []
    assert [item.check for item in findings] == [check.name for check in CHECKS]
    assert reached(findings).number == 4 and lacking(findings) is None


def git(place: Any, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    subprocess.run(command, cwd=place.repo, check=True, capture_output=True)


def commit(place: Any) -> None:
    git(place, "commit", "--quiet", "--all", "--message=More")


def unpushed(place: Any) -> None:
    place.edit(".gitignore", "mlflow.db", "*.db")
    commit(place)


def pushed_empty_lock(place: Any) -> None:
    place.edit("dvc.lock", "artifacts/model.skops", "artifacts/other")
    commit(place)
    git(place, "push", "--quiet")


def foreign_origin(place: Any) -> None:
    git(place, "remote", "set-url", "origin", "https://ada:hunter2-hunter2@127.0.0.1:1/loans.git")


def gone_origin(place: Any) -> None:
    shutil.rmtree(place.top / "origin.git")


def embed(place: Any) -> None:
    (place.repo / ".dvc" / "config").write_text(
        "[core]\n    remote = embedded\n['remote \"embedded\"']\n    url = embedded\n", encoding="utf-8"
    )


def lose(place: Any, content: str) -> None:
    for file in (place.top / "store").rglob("*"):
        if file.is_file() and file.read_text(encoding="utf-8") == content:
            file.unlink()


def entry(place: Any, release: str, *events: str) -> None:
    """Make an unheard-of release stable, with these events."""
    from mainline.release.ledger import Entry, Transition

    deploy = place.ledger()
    made = replace(deploy.state("production"), stable=release)
    told = [Transition(release, "production", event, "t", "t", 100) for event in events]  # type: ignore[arg-type]
    deploy.commit("x", expect=deploy.head(), states=[made], entries=[Entry(release, "d" * 40)], transitions=told)


def beat(place: Any, hours: float) -> None:
    put_beat(place.ledger(), "log", Beat(NOW - dt.timedelta(hours=hours), "", 0))


def broken_ledger(place: Any) -> None:
    deploy = place.ledger()
    new = deploy.repo.write_commit("By hand\n", {"production.yaml": "stable: ["}, deploy.head(), NOW)
    deploy.repo.git("push", "--quiet", "origin", f"{new}:refs/heads/deploy")


def foreign_deploy(place: Any) -> None:
    git(place, "push", "--quiet", "--force", "origin", "main:deploy")


def open_issue(place: Any, body: str) -> None:
    place.hub.issues.append(
        {"number": 1, "state": "open", "user": {"type": "Bot"}, "body": body, "labels": ["monitoring"], "title": "t"}
    )


def answer(place: Any, path: str, change: Callable[[Any], None]) -> None:
    """Change what GitHub says."""
    change(place.more[path])


def workflow_state(place: Any, name: str, state: str) -> None:
    for item in place.more["/actions/workflows"]["workflows"]:
        if item["path"].endswith(f"/{name}.yml"):
            item["state"] = state


def drop_status(place: Any) -> None:
    place.more["/rules/branches/main"] = [
        rule for rule in place.more["/rules/branches/main"] if rule["type"] != "required_status_checks"
    ]


def drop_rule(place: Any, branch: str = "main") -> None:
    path = f"/rules/branches/{branch}"
    place.more[path] = [rule for rule in place.more[path] if rule["type"] != "deletion"]


def add_rule(place: Any, branch: str, kind: str) -> None:
    place.more[f"/rules/branches/{branch}"].append({"type": kind, "ruleset_id": 2})


def forget_app(place: Any) -> None:
    for rule in place.more["/rules/branches/main"]:
        for asked in rule.get("parameters", {}).get("required_status_checks", ()):
            asked["integration_id"] = None


def allow(place: Any, *patterns: str, verified: bool = False, owned: bool = True) -> None:
    place.more["/actions/permissions"]["allowed_actions"] = "selected"
    chosen = {"github_owned_allowed": owned, "verified_allowed": verified, "patterns_allowed": list(patterns)}
    place.more["/actions/permissions/selected-actions"] = chosen


def cloud(place: Any) -> None:
    place.edit(".dvc/config", "../../store", "s3://bucket/path")


def named_default(place: Any, name: str) -> None:
    place.more[""]["default_branch"] = name


PLANTED: list[tuple[str, Callable[[Any], Any], str, str, str]] = [
    # check, fault, status, words of the finding, words of the fix
    ("params", lambda p: p.params(nonsense=1), "broken", "nonsense: unknown key", "make-it-yours"),
    ("params", lambda p: p.params(project="other"), "broken", "no src/other/schema.py", "another project"),
    ("git", lambda p: shutil.rmtree(p.repo / ".git"), "gap", "no git repository", "git init"),
    ("work tree", lambda p: (p.repo / "new").touch(), "optional", "not committed: new", "git commit"),
    ("work tree", lambda p: git(p, "mv", "src/bank/schema.py", "moved"), "optional", "moved, src/bank", "commit"),
    ("branch", unpushed, "optional", "main: 1 commits are not pushed", "git push origin main"),
    ("branch", lambda p: git(p, "checkout", "-q", "-b", "topic"), "optional", "never pushed", "git push -u origin"),
    ("origin", lambda p: git(p, "remote", "remove", "origin"), "optional", "no remote origin", "gh repo"),
    ("origin", gone_origin, "broken", "no answer", "git fetch origin"),
    ("origin", foreign_origin, "gap", "https://127.0.0.1:1/loans.git: its address in .git/config holds", "set-url"),
    ("lock", lambda p: (p.repo / "dvc.lock").unlink(), "gap", "no dvc.lock", "make run"),
    ("champion", lambda p: git(p, "update-ref", "-d", "refs/remotes/origin/main"), "ok", "main (", ""),
    ("champion", pushed_empty_lock, "gap", "pins no model", "commit dvc.lock to main"),
    ("tracking", lambda p: (p.repo / "mlflow.db").unlink(), "optional", "no run was recorded", "mainline card"),
    ("tracking", lambda p: (p.repo / "mlflow.db").write_text("no database " * 99), "broken", "no MLflow store", "move"),
    ("storage", embed, "optional", "embedded: built in", "make remote URL="),
    ("storage", lambda p: p.edit(".dvc/config", "remote = mine", "autostage = false"), "gap", "no DVC remote", "make"),
    ("storage", lambda p: p.edit(".dvc/config", "url", "jobs"), "broken", "has no URL", "dvc remote modify mine url"),
    ("storage", lambda p: shutil.rmtree(p.top / "store"), "broken", "there is no folder", "mount it"),
    ("storage", lambda p: p.edit(".dvc/config", "../../store", "gs://b/p"), "broken", "needs dvc-gs", "mainline"),
    ("storage", lambda p: p.edit(".dvc/config", "[core]", "[core"), "broken", "cannot be read", "dvc config"),
    ("objects", lambda p: lose(p, "rows"), "broken", "mine lacks data.csv", "dvc push"),
    ("objects", lambda p: lose(p, "model"), "broken", "mine lacks artifacts/model.skops", "dvc push"),
    ("prediction log", lambda p: shutil.rmtree(p.repo / ".mainline"), "optional", "nothing was", "mainline serve"),
    ("prediction log", lambda p: p.environment.update(MAINLINE_LOG="data.dvc"), "broken", "is a file", "folder"),
    ("prediction log", lambda p: p.environment.update(MAINLINE_LOG="nix://a/b"), "broken", "cannot be reached", "s3:"),
    ("API key", lambda p: p.environment.pop("SERVICE_KEY"), "optional", "SERVICE_KEY: not set", "set SERVICE_KEY"),
    ("API key", lambda p: p.params(serve__api_key_env=None), "optional", "no key is asked", "serve.api_key"),
    ("stable", lambda p: p.state(stable=None, previous=()), "optional", "no release is stable", "make run"),
    ("stable", broken_ledger, "broken", "production.yaml", ""),
    ("canary", lambda p: entry(p, "r3", "promote"), "optional", "r3 became stable without shadow", "next release"),
    ("way back", lambda p: p.state(previous=()), "optional", "no earlier stable release", "next release"),
    ("heartbeat", lambda p: beat(p, 100), "broken", "100.0 hours ago", "gh workflow run monitor.yml"),
    ("heartbeat", lambda p: beat(p, -9), "broken", "in the future", "gh workflow run"),
    ("pinned actions", lambda p: p.edit(".github/workflows/report.yml", "@" + "a" * 40, "@v1"), "gap", "x/y@v1",
     "mainline github pins --write"),
    ("code owners", lambda p: p.edit(".github/CODEOWNERS", "@ada/team", "@your-org/ml-owners"), "gap", "placeholder",
     "your own @name"),
    ("code owners", lambda p: (p.repo / ".github" / "CODEOWNERS").unlink(), "gap", "no CODEOWNERS", ".github/CODEOWN"),
    ("default branch", lambda p: named_default(p, "trunk"), "gap", "the default branch is 'trunk', and comment.yml",
     "add trunk to on.push.branches"),
    ("merge queue", lambda p: add_rule(p, "main", "merge_queue"), "broken", "times out", "take the merge queue out"),
    ("first release", lambda p: git(p, "push", "-q", "origin", "--delete", "deploy"), "optional", "a push releases not",
     "gh workflow run release.yml"),
    ("first release", foreign_deploy, "broken", "holds no ledger of this project", "--delete deploy"),
    ("secrets", lambda p: p.params(rollout__target="kubernetes"), "gap", "REGISTRY_TOKEN, which is not set",
     "gh secret set REGISTRY_TOKEN"),
    ("secrets", cloud, "gap", "AWS_SECRET_ACCESS_KEY, which is not set", "gh secret set AWS_SECRET_ACCESS_KEY"),
    ("environment storage", cloud, "gap", "no environment storage", "New environment: storage"),
    ("Dependabot secrets", lambda p: (cloud(p), p.more.update({"/dependabot/secrets": {}})), "gap", "get no AWS_SECRET",
     "--app dependabot"),
]  # fmt: skip
ON_GITHUB: list[tuple[str, Callable[[Any], Any], str, str, str]] = [
    ("blind", lambda p: open_issue(p, BLIND), "broken", "#1 is open: monitoring is blind", "says why"),
    ("alarms", lambda p: open_issue(p, "<!-- mainline:monitor:x -->"), "optional", "1 open: #1", "retrain-app"),
    ("GitHub", lambda p: p.environment.update(GITHUB_TOKEN="another"), "broken", "refused (401)", "gh auth token"),
    ("GitHub", lambda p: p.hub.refuse.update({"/actions/workflows": 404}), "broken", "may not see it", "GITHUB_REPO"),
    ("rules of main", drop_status, "gap", "mainline/verdict is not a condition", "mainline github ruleset"),
    ("rules of main", drop_rule, "gap", "not in force: deletion", "mainline github ruleset"),
    ("pinned actions", lambda p: p.more.update({"/commits/v1": {"sha": "b" * 40}}), "broken", "is not v1", "pins"),
    ("pinned actions", lambda p: p.hub.refuse.update({"/commits/v1": 404}), "unknown", "not compared", ""),
    ("secrets", lambda p: p.more.update({"/actions/secrets": {"secrets": []}}), "gap", "STORAGE_KEY, which is not",
     "gh secret set STORAGE_KEY"),
    ("environments", lambda p: p.more["/environments"]["environments"].pop(), "gap", "no environment production",
     "Settings, Environments"),
    ("environments", lambda p: p.more["/environments"]["environments"][0].update(deployment_branch_policy=None), "gap",
     "any branch may deploy to staging", "Deployment branches"),
    ("environments", lambda p: p.more.update({"/environments/production/deployment-branch-policies":
     {"branch_policies": [{"name": "release/*"}]}}), "gap", "main may not deploy to production, only rel", "main"),
    ("environments", lambda p: p.more.update({"/environments/staging/deployment-branch-policies":
     {"branch_policies": [{"name": "*"}]}}), "gap", "any branch may deploy to staging: it allows *", "Selected"),
    ("reviewers", lambda p: p.more["/environments"]["environments"][1].update(protection_rules=[]), "optional",
     "production has no reviewers", "Required reviewers"),
    ("labels", lambda p: p.more["/labels"].pop(), "gap", "no label mute", "mainline github labels"),
    ("log variable", lambda p: p.more.pop("/actions/variables/MAINLINE_LOG"), "optional", "not set: nothing is watched",
     "gh variable set MAINLINE_LOG"),
    ("proposals", lambda p: p.more.update({"/actions/permissions/workflow": {}}), "gap", "may not open", "Settings"),
    ("GitHub", lambda p: p.hub.refuse.update({"/actions/workflows": 301}), "broken", "renamed or moved", "set-url"),
    ("plan", lambda p: p.environment.update(GITHUB_SERVER_URL="https://hub.example.org"), "broken", "Enterprise Server",
     "github.com"),
    ("plan", lambda p: p.more[""].update(fork=True), "ok", "a fork: Actions are off until", ""),
    ("plan", lambda p: p.more[""].update(archived=True), "broken", "archived", "Unarchive"),
    ("plan", lambda p: (p.more[""].update(visibility="private"), p.lacks("/rules/branches/main")), "optional",
     "private, on a plan without rulesets", "Plans"),
    ("actions", lambda p: p.more.update({"/actions/permissions": {"enabled": False}}), "gap", "switched off", "Gen"),
    ("actions", lambda p: p.more["/actions/permissions"].update(allowed_actions="local_only"), "broken", "fails at",
     "actions/*"),
    ("actions", allow, "broken", "not on the list of allowed actions: x/y@", "ask the organisation"),
    ("actions", lambda p: allow(p, verified=True), "optional", "unless GitHub has verified", "leave them out"),
    ("actions", lambda p: allow(p, "x/*"), "ok", "selected actions are allowed", ""),
    ("code owners", lambda p: p.more.update({"/codeowners/errors": {"errors": [{"line": 2, "kind": "Unknown owner",
     "suggestion": "make sure the team @ada/team exists", "path": ".github/CODEOWNERS"}]}}), "gap",
     ".github/CODEOWNERS, line 2: Unknown owner", "@ada/team exists"),
    ("rules of main", forget_app, "gap", "the rule names no app", "mainline github ruleset"),
    ("rules of main", lambda p: p.more["/collaborators"].pop(), "broken", "only ada may write here", "--reviews 0"),
    ("rules of deploy", lambda p: drop_rule(p, "deploy"), "gap", "not in force: deletion", "mainline github ruleset"),
    ("rules of deploy", lambda p: add_rule(p, "deploy", "required_signatures"), "broken", "required_signatures stops",
     "take deploy out"),
    ("issues", lambda p: p.more[""].update(has_issues=False), "gap", "issues are off", "Features, Issues"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "plant", "status", "words", "fix"), PLANTED,
                         ids=[f"{item[0]}-{number}" for number, item in enumerate(PLANTED)])  # fmt: skip
def test_a_fault_is_named_with_what_mends_it(
    place: Any, check: str, plant: Callable[[Any], Any], status: str, words: str, fix: str
) -> None:
    named(place, check, plant, status, words, fix)


@pytest.mark.parametrize(("check", "plant", "status", "words", "fix"), ON_GITHUB,
                         ids=[f"{item[0]}-{number}" for number, item in enumerate(ON_GITHUB)])  # fmt: skip
def test_a_fault_on_github_is_named_with_what_mends_it(
    hosted: Any, check: str, plant: Callable[[Any], Any], status: str, words: str, fix: str
) -> None:
    named(hosted, check, plant, status, words, fix)


def named(place: Any, check: str, plant: Callable[[Any], Any], status: str, words: str, fix: str) -> None:
    plant(place)
    found = place.find(check)
    assert (found.status, words in found.text, fix in found.fix) == (status, True, True), found
    assert found.fix or status in ("ok", "unknown")


def test_every_check_has_a_planted_fault() -> None:
    elsewhere = {"rollout", *(check.name for check in CHECKS if check.name.startswith("workflow "))}
    assert {check.name for check in CHECKS} - {item[0] for item in PLANTED + ON_GITHUB} == elsewhere


@pytest.mark.parametrize("check", ["workflow monitor", "workflow pull-request"])
def test_a_workflow_that_is_off_unknown_or_gone_is_named(place: Any, check: str) -> None:
    name = check.removeprefix("workflow ")
    workflow_state(place, name, "disabled_manually")
    off = place.find(check)
    status = "gap" if name in actions.JUDGES else "optional"
    assert (off.status, off.text, off.fix) == (status, "disabled_manually", f"gh workflow enable {name}.yml")
    workflow_state(place, name, "disabled_fork")
    assert place.find(check).status == "gap" and "new fork" in place.find(check).text
    workflow_state(place, name, "disabled_inactivity")
    assert place.find(check).status == "broken"
    place.more["/actions/workflows"] = {"workflows": []}
    assert (place.find(check).status, place.find(check).fix) == ("gap", "git push origin main")
    (place.repo / ".github" / "workflows" / f"{name}.yml").unlink()
    assert "is not there" in place.find(check).text


def test_the_workflows_that_are_looked_for_are_those_of_the_template() -> None:
    assert sorted(file.stem for file in (ROOT / ".github" / "workflows").iterdir()) == sorted(actions.WORKFLOWS)


def test_a_rollout_that_stands_still_is_broken_and_one_that_moves_is_not(place: Any) -> None:
    begun = (NOW - dt.timedelta(minutes=30)).isoformat()
    place.state(candidate="r1", phase="canary", weight=5, step=1, started=begun)
    moving = place.find("rollout")
    assert (moving.status, moving.text) == ("ok", "r1 is being tried: canary, 5 % of the users, for 30 minutes")
    still = place.find("rollout", now=NOW + dt.timedelta(hours=13))
    assert still.status == "broken" and "nothing has moved for 13.5 hours" in still.text and "abort" in still.fix


def test_a_stale_lock_is_a_gap_and_a_pipeline_that_dvc_cannot_read_is_broken(
    hosted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "stale_stages", lambda root: ("train",))
    found = hosted.find("lock")
    assert (found.status, found.text) == ("gap", "dvc.lock does not fit: train") and "make run" in found.fix

    def refuse(root: Path) -> tuple[str, ...]:
        raise UserError("dvc.yaml: no", "mend it")

    monkeypatch.setattr(pipeline, "stale_stages", refuse)
    assert hosted.find("lock").status == "broken"


def test_a_log_folder_that_may_not_be_written_is_broken(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving.os, "access", lambda *_: False)  # root may write everywhere
    found = place.find("prediction log")
    assert found.status == "broken" and "may not write" in found.text and "chmod" in found.fix


def test_the_embedded_remote_is_looked_through_and_its_outputs_are_not_missed(place: Any) -> None:
    lose(place, "model")
    shutil.copytree(place.top / "store", place.repo / ".dvc" / "embedded")
    embed(place)
    assert place.find("objects").status == "ok"
    for file in (place.repo / ".dvc" / "embedded").rglob("*"):
        if file.is_file():
            file.write_bytes(b"damaged")
    found = place.find("objects")
    assert found.status == "broken" and "data.csv" in found.text and "damaged" in found.text


CLOUD = [
    (0, "{}", "", "ok", "is in mine"),
    (0, '{"data.csv": "deleted"}', "", "ok", "is in mine"),  # in the remote, not in the cache
    (0, '{"data.csv": "new"}', "", "broken", "mine lacks data.csv"),
    (0, '{"data.csv": "missing"}', "", "broken", "mine lacks data.csv"),
    (0, "?", "", "unknown", "cannot be read"),
    (255, "", "ERROR: (403) Forbidden", "broken", "the key was refused"),
    (255, "", "ERROR: Connection refused", "broken", "the host does not answer"),
    (1, "", "ERROR: something", "broken", "something"),
]


def test_cloud_storage_is_asked_through_dvc(place: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    place.edit(".dvc/config", "../../store", "s3://bucket/path")
    for code, out, err, status, words in CLOUD:
        done = subprocess.CompletedProcess([], code, out, err)
        monkeypatch.setattr(storage.dvc, "run", lambda *_, done=done: done)
        found = place.find("objects")
        assert (found.status, words in found.text) == (status, True), found
        assert place.find("objects", offline=True).status == "unknown"


def test_a_host_that_is_silent_is_no_fault_where_nobody_knows_of_a_network(
    place: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.edit(".dvc/config", "../../store", "s3://bucket/path")
    done = subprocess.CompletedProcess([], 255, "", "ERROR: Connection refused")
    monkeypatch.setattr(storage.dvc, "run", lambda *_: done)
    assert place.find("objects").status == "broken"
    del place.environment["GITHUB_TOKEN"]
    assert place.find("objects").status == "unknown"


def test_cloud_storage_without_a_key_in_a_workflow_is_a_gap(place: Any) -> None:
    for file in (place.repo / ".github" / "workflows").iterdir():
        file.write_text(
            re.sub(r"secrets\.(STORAGE|AWS|GOOGLE)\w*", "", file.read_text(encoding="utf-8")), encoding="utf-8"
        )
    assert place.find("secrets").text == "none is needed"
    cloud(place)
    found = place.find("secrets")
    assert found.status == "gap" and "no workflow gives a key to s3://" in found.text


def test_a_login_without_keys_needs_no_secret_of_the_storage(place: Any) -> None:
    cloud(place)
    login = f"uses: aws-actions/configure-aws-credentials@{'a' * 40} # v1"
    place.edit(".github/workflows/report.yml", f"uses: x/y@{'a' * 40} # v1", login)
    assert (place.find("secrets").text, place.find("Dependabot secrets").text) == (
        "STORAGE_KEY is set",
        "none is needed",
    )


def test_storage_that_anybody_may_read_needs_no_key_to_read(place: Any) -> None:
    cloud(place)
    place.edit(".dvc/config", "url = s3", "allow_anonymous_login = true\n    url = s3")
    assert (place.find("secrets").text, place.find("Dependabot secrets").text) == (
        "STORAGE_KEY is set",
        "none is needed",
    )


def test_the_key_that_writes_has_an_environment_of_its_own(place: Any) -> None:
    cloud(place)
    policy = {"protected_branches": True, "custom_branch_policies": False}
    place.more["/environments"]["environments"].append({"name": "storage", "deployment_branch_policy": policy})
    place.more["/environments/storage/secrets"] = {"secrets": []}
    found = place.find("environment storage")
    assert (found.status, found.fix) == (
        "optional",
        "gh secret set MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY --env storage",
    )
    place.more["/environments/storage/secrets"] = {"secrets": [{"name": "MAINLINE_WRITE_AWS_SECRET_ACCESS_KEY"}]}
    assert place.find("environment storage").status == "ok"
    place.lacks("/rules/branches/main")
    assert place.find("environment storage").status == "unknown"


def test_an_approval_that_nobody_can_give_is_named_with_the_way_round(place: Any) -> None:
    place.more["/environments"]["environments"][1]["protection_rules"] = []
    place.params(rollout__approval="required")
    found = place.find("reviewers")
    assert found.status == "optional" and "waits for a start by hand" in found.text and "release.yml" in found.fix


@pytest.mark.parametrize("where", ["plan", "nowhere"])
def test_a_placeholder_is_no_gap_where_no_rule_can_ask_its_owners(place: Any, where: str) -> None:
    place.edit(".github/CODEOWNERS", "@ada/team", "@your-org/ml-owners")
    if where == "plan":
        place.lacks("/rules/branches/main")
    else:
        del place.environment["GITHUB_REPOSITORY"]
    assert place.find("code owners").status == "optional"


def test_a_machine_account_is_not_a_second_reviewer(hosted: Any) -> None:
    hosted.more["/collaborators"][1]["type"] = "Bot"
    assert hosted.find("rules of main").status == "broken"


def test_secrets_of_another_storage_and_of_a_cluster_are_not_asked_for(place: Any) -> None:
    place.edit(".dvc/config", "../../store", "gs://bucket/path")
    found = place.find("secrets").text
    assert found == "a workflow needs GOOGLE_APPLICATION_CREDENTIALS_DATA, which is not set"


def test_an_action_that_only_the_poster_needs_may_be_left_off_the_list(place: Any) -> None:
    for file in (place.repo / ".github" / "workflows").iterdir():
        if file.name != "comment.yml":
            file.write_text(file.read_text(encoding="utf-8").replace("x/y@", "actions/cache/save@"), encoding="utf-8")
    allow(place)
    found = place.find("actions")
    assert (found.status, found.fix) == ("optional", "gh workflow disable comment.yml; or allow x/y@*")
    workflow_state(place, "comment", "disabled_manually")
    assert place.find("actions").status == "ok"
    allow(place, owned=False)
    assert place.find("actions").status == "broken"


def test_the_template_uses_one_action_that_is_not_githubs_and_nothing_waits_for_it() -> None:
    others = {name.partition("@")[0]: files for name, files in actions.used_actions(ROOT).items()
              if not name.startswith("actions/")}  # fmt: skip
    assert others == {"iterative/setup-cml": {"comment.yml"}}


@pytest.mark.parametrize("check", ["labels", "issues", "proposals"])
def test_what_only_monitoring_needs_is_optional_until_a_log_is_named(hosted: Any, check: str) -> None:
    hosted.more["/labels"].clear()
    hosted.more[""]["has_issues"] = False
    hosted.more["/actions/permissions/workflow"] = {}
    assert hosted.find(check).status == "gap"
    del hosted.more["/actions/variables/MAINLINE_LOG"]
    assert hosted.find(check).status == "optional"


def test_no_beat_is_due_until_a_log_is_named(place: Any) -> None:
    git(place, "push", "--quiet", "origin", "--delete", "deploy")
    Deploy.open(place.top / "fresh", str(place.top / "origin.git"))
    assert place.find("heartbeat").status == "gap"
    del place.more["/actions/variables/MAINLINE_LOG"]
    assert place.find("heartbeat").status == "optional"


def test_whoever_may_merge_past_the_rules_is_not_locked_out_alone(hosted: Any) -> None:
    hosted.more["/collaborators"].pop()
    hosted.more["/rulesets/1"] = {"current_user_can_bypass": "never"}
    assert hosted.find("rules of main").status == "broken"
    hosted.more["/rulesets/1"] = {"current_user_can_bypass": "pull_requests_only"}
    assert hosted.find("rules of main").status == "ok"


def test_a_merge_queue_is_fine_where_the_workflow_runs_for_it(place: Any) -> None:
    add_rule(place, "main", "merge_queue")
    place.edit(".github/workflows/pull-request.yml", "on: {push", "on:\n  merge_group:\n#")
    assert place.find("merge queue").status == "ok"


def test_a_variable_lets_the_next_merge_begin_the_ledger(place: Any) -> None:
    git(place, "push", "--quiet", "origin", "--delete", "deploy")
    place.more["/actions/variables/MAINLINE_RELEASES"] = {"name": "MAINLINE_RELEASES", "value": "true"}
    assert place.find("first release").status == "ok" and "next merge" in place.find("first release").text
    place.more["/actions/variables/MAINLINE_RELEASES"]["value"] = "false"
    assert place.find("first release").status == "optional"


def test_a_secret_of_the_organisation_counts(hosted: Any) -> None:
    hosted.more["/actions/secrets"] = {"secrets": []}
    hosted.more["/actions/organization-secrets"] = {"secrets": [{"name": "STORAGE_KEY"}]}
    assert hosted.find("secrets").status == "ok"
    hosted.hub.refuse["/actions/secrets"] = 403
    assert hosted.find("secrets").status == "unknown"


def test_a_tracking_server_is_asked(hosted: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    hosted.environment["MLFLOW_TRACKING_URI"] = f"{hosted.hub.url}/"
    assert hosted.find("tracking").status == "ok"  # the stand-in asks for a key: somebody is there
    monkeypatch.setattr(pipeline, "_status", lambda address: 404)
    assert "answers 404" in hosted.find("tracking").text
    monkeypatch.undo()
    hosted.environment["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:1"
    assert hosted.find("tracking").status == "broken"
    assert hosted.find("tracking", offline=True).status == "unknown"
    del hosted.environment["GITHUB_TOKEN"]
    assert hosted.find("tracking").status == "unknown"
    hosted.environment["MLFLOW_TRACKING_URI"] = "databricks://host"
    assert hosted.find("tracking").status == "unknown"


def test_without_an_origin_the_ledger_and_the_issues_of_this_machine_count(place: Any) -> None:
    git(place, "remote", "remove", "origin")
    del place.environment["GITHUB_REPOSITORY"]
    assert "no ledger" in place.find("stable").text and place.find("stable").status == "optional"
    assert place.find("blind").status == "ok"
    shutil.copytree(place.top / "ledger", place.repo / ".mainline" / "deploy")
    assert (place.find("stable").status, place.find("way back").status) == ("ok", "ok")
    file = place.repo / ".mainline" / "issues" / "1.md"
    file.parent.mkdir()
    head = {"title": "t", "open": True, "labels": ["monitoring"]}
    file.write_text(f"---\n{json.dumps(head)}\n---\n{BLIND}\n", encoding="utf-8")
    assert place.find("blind").status == "broken"
