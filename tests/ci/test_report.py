"""The verdict from main's side: whatever a run uploads, only what git and GitHub confirm is a success."""

from __future__ import annotations

import base64
import hashlib
import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from mainline.ci.begin import begin
from mainline.ci.event import PullRequest
from mainline.ci.here import Here
from mainline.ci.report import Finding, Run, decide, finished_run
from mainline.ci.tell import tell
from mainline.cli import app
from mainline.errors import UserError
from mainline.github import CML_MARK, MARK, GitHub

HOME = "ada/loans"
MODEL, TABLE = b"model", b"rows"


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def kept(content: bytes) -> str:
    oid = md5(content)
    return f".dvc/embedded/files/md5/{oid[:2]}/{oid[2:]}"


def lock(*outs: bytes) -> bytes:
    listed = "".join(f"    - {{path: out{number}, md5: {md5(out)}}}\n" for number, out in enumerate(outs))
    return f"schema: '2.0'\nstages:\n  train:\n    cmd: x\n    outs:\n{listed or '    []'}".encode()


@dataclass
class World:
    """A hosted repository whose topic has other params than its lock, main's clone, and what a run uploads."""

    top: Path
    hub: Any
    here: Here
    run_git: Callable[..., str]
    files: dict[str, Any] = field(default_factory=dict)

    def git(self, *arguments: str) -> str:
        return self.run_git(self.top / "author", *arguments)

    def push(self, branch: str = "topic", **files: str | bytes | None) -> str:
        """Change files of a branch and push; return the new head."""
        self.git("switch", "--quiet", branch)
        for name, content in files.items():
            path = self.top / "author" / name
            if content is None:
                path.unlink()
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=x")
        self.git("push", "--quiet", "--force", "origin", branch)
        if branch == "main":
            self.run_git(self.here.root, "fetch", "--quiet", "origin")
            self.run_git(self.here.root, "switch", "--quiet", "--detach", "origin/main")
        return self.git("rev-parse", "HEAD")

    @property
    def tip(self) -> str:
        """What the hosted topic is at."""
        return str(self.hub.git("rev-parse", "topic"))

    def trained(self, *, add: dict[str, bytes] | None = None, drop: tuple[str, ...] = (), **verdict: Any) -> Run:
        """Let a run of topic lock ``add``; its artifact is what an honest run would upload."""
        head = self.git("rev-parse", "topic")
        add = {"dvc.lock": lock(MODEL), kept(MODEL): MODEL} if add is None else add
        changes = {
            "additions": [{"path": key, "contents": base64.b64encode(value).decode()} for key, value in add.items()],
            "deletions": [{"path": path} for path in drop],
        }
        tree = self.hub.commit_files(head, "x", changes)[1]
        found = {
            "verdict": "promote", "reason": "better", "head": {"commit": "e" * 40, "dirty": False, "tree": tree},
            "against": {"commit": self.git("rev-parse", "main")},
        }  # fmt: skip
        self.files = {"verdict.json": found | verdict, "lock.json": changes, "report.md": "# Promote\n"}
        return self.ended(head)

    def ended(self, head: str, conclusion: str = "success", home: str = HOME) -> Run:
        return Run(1, "pull_request", head, "topic", home, conclusion, started="2026-01-01T00:00:00Z")

    def upload(self) -> None:
        folder = self.top / "artifacts" / "report"
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in self.files.items():
            data = content if isinstance(content, bytes | str) else json.dumps(content)
            (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
        self.hub.artifacts = self.top / "artifacts"

    def decide(self, run: Run) -> Finding:
        self.upload()
        found = decide(run, self.here)
        assert found is not None
        return found


@pytest.fixture
def world(tmp_path: Path, hub: Any, api: Any, git: Callable[..., str]) -> Iterator[World]:
    author, origin = tmp_path / "author", tmp_path / "origin.git"
    author.mkdir()
    git(tmp_path, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(author, "init", "--quiet", "--initial-branch=main")
    git(author, "remote", "add", "origin", str(origin))
    here = Here(GitHub(HOME, api.TOKEN, hub.url), "main", tmp_path / "clone", {})
    made = World(tmp_path, hub, here, git)
    old = b"old model"
    pointer = f"outs:\n- {{md5: {md5(TABLE)}, path: data}}\n"
    made_files = {"params.yaml": "C: 1", "README.md": "a", "dvc.yaml": "stages: {}", "data.dvc": pointer,
                  "dvc.lock": lock(old), kept(old): old, kept(TABLE): TABLE}  # fmt: skip
    git(author, "commit", "--quiet", "--allow-empty", "--message=Start")
    git(author, "push", "--quiet", "origin", "main")
    git(tmp_path, "clone", "--quiet", str(origin), "clone")
    made.push("main", **made_files)  # type: ignore[arg-type]
    git(author, "switch", "--quiet", "--create", "topic")
    head = made.push(**{"params.yaml": "C: 2"})
    hub.origin = origin
    sides = {"head": {"sha": head, "ref": "topic", "repo": {"full_name": HOME}},
             "base": {"sha": git(author, "rev-parse", "main"), "ref": "main", "repo": {"full_name": HOME}}}  # fmt: skip
    hub.pulls[7] = {"number": 7, "state": "open", **sides}
    yield made


def states(world: World) -> list[tuple[str, str]]:
    return [(item["sha"], item["state"]) for item in world.hub.statuses]


def test_an_honest_run_is_locked_on_its_branch_and_passes(world: World) -> None:
    run = world.trained(drop=(kept(b"old model"),))
    found = world.decide(run)
    assert (found.state, found.description, found.number) == ("success", "promote: better", 7)
    assert world.tip == found.commit != run.head
    assert world.hub.git("rev-parse", f"{world.tip}^") == run.head
    assert world.hub.git("ls-tree", "-r", "--name-only", world.tip).split() == sorted(
        [kept(MODEL), kept(TABLE), "README.md", "data.dvc", "dvc.lock", "dvc.yaml", "params.yaml"]
    )
    tell(found, world.here, folder=world.top / "comment")
    assert states(world) == [(world.tip, "success")] and world.hub.checks[0]["head_sha"] == world.tip
    assert (
        world.hub.comments[0]["body"].startswith(f"{MARK}\n# Promote\n") and CML_MARK in world.hub.comments[0]["body"]
    )


def test_a_run_that_locked_nothing_needs_no_commit(world: World) -> None:
    run = world.trained(add={})
    assert world.decide(run).state == "success" and world.tip == run.head
    assert "POST /graphql" not in world.hub.calls


def test_a_run_that_is_repeated_takes_the_commit_of_its_first_attempt(world: World) -> None:
    run = world.trained()
    first = world.decide(run)
    again = world.decide(run)
    assert again.commit == first.commit == world.tip and again.state == "success"
    assert world.hub.calls.count("POST /graphql") == 1
    # Another commit, also one that calls itself the bot's and stands in the same place, is not what was judged.
    changes = {"additions": [{"path": "params.yaml", "contents": "QQ=="}]}
    world.hub.git("update-ref", "refs/heads/topic", world.hub.commit_files(run.head, "Lock the outputs", changes)[0])
    assert world.decide(run).state == "pending"
    world.git("fetch", "--quiet", "origin", "topic")
    world.git("reset", "--quiet", "--hard", "FETCH_HEAD")
    moved = world.push(**{"params.yaml": "C: 3"})
    found = world.decide(run)
    assert found.state == "pending" and "moved on" in found.description and found.keep and world.tip == moved


def test_an_answer_that_got_lost_is_looked_for_before_the_call_is_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.trained()
    object.__setattr__(world.here.server, "pause", lambda seconds: None)
    for lost in (True, False):
        world.hub.once, world.hub.lost = [("POST /graphql", 502, {})], lost
        world.hub.commits["heads%2Ftopic"] = run.head
        if lost:
            monkeypatch.setattr(type(world.here.server), "commit", lambda self, ref: world.tip)
        found = world.decide(run)
        assert found.state == "success" and found.commit == world.tip
        assert world.hub.git("rev-list", "--count", f"{run.head}..{world.tip}") == "1"


@pytest.mark.parametrize("how", ["pushed", "deleted"])
def test_a_branch_that_moves_during_the_commit_is_left_alone(
    world: World, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.trained()
    before = world.here.server.graphql

    def race(self: GitHub, *arguments: Any) -> Any:
        if how == "deleted":
            world.hub.git("update-ref", "-d", "refs/heads/topic")
        else:
            world.push(**{"params.yaml": "C: 9"})
        return before(*arguments)

    monkeypatch.setattr(GitHub, "graphql", race)
    found = world.decide(run)
    assert (found.state, found.keep) == ("pending", True) and "moved on" in found.description
    there = world.hub.git("for-each-ref", "refs/heads/topic")
    assert not there if how == "deleted" else world.tip == world.git("rev-parse", "topic")


EVIL = b"evil"


@pytest.mark.parametrize(
    ("add", "drop", "words"),
    [
        ({"dvc.lock": lock(MODEL), kept(MODEL): EVIL}, (), "another MD5"),
        ({"dvc.lock": lock(MODEL), kept(EVIL): EVIL}, (), "not named by dvc.lock"),
        ({"dvc.lock": lock(MODEL), "params.yaml": b"C: 0"}, (), "not a file that a run may write"),
        ({"dvc.lock": lock(MODEL), ".github/workflows/x.yml": b"on: push"}, (), "not a file that a run may write"),
        ({"dvc.lock": lock(MODEL), ".dvc/config": b""}, (), "not a file that a run may write"),
        ({"dvc.lock": lock(MODEL), ".dvc/embedded/../config": b""}, (), "not a file that a run may write"),
        ({"dvc.lock": lock(MODEL)}, ("README.md",), "not a file that a run may write"),
        ({"dvc.lock": lock(MODEL)}, (kept(TABLE),), "a .dvc file names it"),
        ({}, (kept(b"old model"),), "dvc.lock or a .dvc file names it"),
        ({}, ("dvc.lock",), "dvc.lock would be deleted"),
        ({"dvc.lock": b"stages: ["}, (), "dvc.lock is not valid YAML"),
        ({"dvc.lock": lock(MODEL), kept(MODEL): b"x" * 9_000_000}, (), "more than"),
    ],
)
def test_a_lock_that_claims_too_much_is_not_committed(
    world: World, add: dict[str, bytes], drop: tuple[str, ...], words: str
) -> None:
    harmless = {key: value for key, value in add.items() if "/../" not in key}
    run = world.trained(add=harmless, drop=drop)
    listed = [{"path": key, "contents": base64.b64encode(value).decode()} for key, value in add.items()]
    world.files["lock.json"]["additions"] = listed
    found = world.decide(run)
    assert found.state == "failure" and words in found.description, found.description
    assert world.tip == run.head and "POST /graphql" not in world.hub.calls


@pytest.mark.parametrize(
    "claim",
    [{}, {"additions": {}, "deletions": []}, {"additions": [1], "deletions": []},
     {"additions": [{"path": "dvc.lock", "contents": "%%%"}], "deletions": []},
     {"additions": [{"path": "dvc.lock", "contents": ""}] * 2, "deletions": []},
     {"additions": [], "deletions": [{"path": kept(bytes([i % 256, i // 256]))} for i in range(600)]}],
)  # fmt: skip
def test_a_lock_that_is_none_is_refused(world: World, claim: dict[str, Any]) -> None:
    run = world.trained()
    world.files["lock.json"] = claim
    found = world.decide(run)
    assert found.state == "failure" and "lock.json" in found.description and world.tip == run.head


def test_what_was_judged_must_be_what_the_branch_will_hold(world: World) -> None:
    run = world.trained()
    other = world.hub.commit_files(run.head, "x", {"additions": [{"path": "params.yaml", "contents": "QQ=="}]})[1]
    for tree in (other, None, "", 7):
        world.files["verdict.json"]["head"]["tree"] = tree
        found = world.decide(run)
        assert found.state == "failure" and "not what the branch holds" in found.description
    world.files["verdict.json"]["head"] = {"tree": other, "dirty": True}
    assert "changed files that are committed" in world.decide(run).description
    assert world.tip == run.head and "POST /graphql" not in world.hub.calls


@pytest.mark.parametrize("main", [{"params.yaml": "C: 5"}, {"src/x.py": "x"}])
def test_a_champion_that_is_none_any_more_decides_nothing(world: World, main: dict[str, str]) -> None:
    run = world.trained()
    world.push("main", **main)
    found = world.decide(run)
    assert found.state == "pending" and found.description == "update the branch: main has changed since it was judged"
    assert world.tip == run.head


def test_a_branch_that_was_updated_must_be_judged_against_the_new_champion(world: World) -> None:
    before = world.git("rev-parse", "main")
    world.push("main", **{"src/x.py": "x"})
    world.git("switch", "--quiet", "topic")
    world.git("merge", "--quiet", "-m", "Update", "main")
    world.git("push", "--quiet", "origin", "topic")
    run = world.trained()
    assert world.decide(run).state == "success"
    for against in (before, "c" * 40, "main", None, run.head):
        run = world.trained(against={"commit": against}, add={})
        world.files["verdict.json"]["head"]["tree"] = world.hub.git("rev-parse", f"{run.head}^{{tree}}")
        found = world.decide(run)
        assert found.state == "pending", against


def test_words_on_main_do_not_matter(world: World) -> None:
    run = world.trained()
    world.push("main", **{"README.md": "b", "docs/a.md": "b"})
    assert world.decide(run).state == "success"


@pytest.mark.parametrize(
    ("conclusion", "change", "words"),
    [
        ("failure", {"verdict": "reject"}, "reject: better"),
        ("failure", {"verdict": "hold"}, "hold: better"),
        ("success", {"verdict": "Promote"}, "no verdict: 'Promote'"),
        ("success", {"verdict": None}, "no verdict: 'None'"),
        ("failure", {}, "promote does not count"),
        ("timed_out", {}, "promote does not count"),
    ],
)
def test_only_a_promote_of_a_run_that_succeeded_passes(
    world: World, conclusion: str, change: dict[str, Any], words: str
) -> None:
    found = world.decide(replace(world.trained(**change), conclusion=conclusion))
    assert found.state == "failure" and words in found.description


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("verdict.json", b"[]", "verdict.json is not an object"),
        ("verdict.json", b"[" * 100_000, "verdict.json is not JSON"),
        ("verdict.json", b"{", "verdict.json is not JSON"),
        ("report.md", b"\xff", "report.md is not UTF-8"),
        ("report.md", b"a\x1b[31m", "control characters"),
        ("report.md", b"x" * 300_000, "larger than"),
    ],
)
def test_an_artifact_that_is_none_is_a_failure(world: World, name: str, content: bytes, words: str) -> None:
    run = world.trained()
    world.files[name] = content
    found = world.decide(run)
    assert found.state == "failure" and words in found.description and world.tip == run.head


@pytest.mark.parametrize("call", ["GET /actions/runs/1/artifacts", "GET /pulls", "POST /graphql"])
def test_trouble_at_github_is_not_told_as_a_fault_of_the_pull_request(world: World, call: str) -> None:
    run = world.trained()
    world.upload()
    object.__setattr__(world.here.server, "pause", lambda seconds: None)
    world.hub.commits["heads%2Ftopic"] = run.head
    world.hub.once = [(call, 502, {})] * 4
    with pytest.raises(UserError, match="502"):
        decide(run, world.here)
    assert world.hub.statuses == [] and world.tip == run.head


def test_what_an_earlier_attempt_has_uploaded_does_not_count(world: World) -> None:
    run = replace(world.trained(), started="2027-01-01T00:00:00Z")
    found = world.decide(run)
    assert found.state == "failure" and "left no report" in found.description


@pytest.mark.parametrize(
    ("conclusion", "state", "words"),
    [("success", "pending", "push its head"), ("failure", "failure", "own run failed (reject)"),
     ("cancelled", "pending", "cancelled")],
)  # fmt: skip
def test_a_fork_can_fail_its_pull_request_but_never_pass_it(
    world: World, conclusion: str, state: str, words: str
) -> None:
    world.hub.pulls[7]["head"]["repo"]["full_name"] = "eve/loans"
    run = replace(world.trained(verdict="reject"), home="eve/loans", conclusion=conclusion)
    world.files["report.md"] = "# Promote @ada\n![x](https://evil.example/p.png)\n```\n<img src=x>\n"
    found = world.decide(run)
    assert found.state == state and words in found.description and world.tip == run.head
    if conclusion == "cancelled":
        return
    assert found.claim and "a claim" in found.text and "````text\n# Promote @ada" in found.text
    tell(found, world.here, folder=world.top / "comment")
    assert world.hub.checks == [] and not (world.top / "comment").exists()


def test_nothing_is_told_of_a_run_without_a_pull_request_into_main(world: World) -> None:
    run = world.trained()
    world.upload()
    for change in ({"state": "closed"}, {"base": {"ref": "release", "sha": "a" * 40}}, {"head": {"ref": "other"}}):
        kept_pull = dict(world.hub.pulls[7])
        world.hub.pulls[7] |= change
        assert decide(run, world.here) is None
        world.hub.pulls[7] = kept_pull
    for odd in (replace(run, home="eve/loans"), replace(run, home=""), replace(run, home="a/b/../c")):
        assert decide(odd, world.here) is None
    for conclusion in ("skipped", "action_required"):
        assert decide(replace(run, conclusion=conclusion), world.here) is None
    assert world.hub.statuses == [] and world.tip == run.head


def test_a_run_that_changes_words_alone_passes_whatever_it_says(world: World) -> None:
    world.git("switch", "--quiet", "topic")
    world.git("reset", "--quiet", "--hard", "main")
    head = world.push(**{"README.md": "b"})
    found = world.decide(world.ended(head, "failure"))
    assert (found.commit, found.state) == (head, "success") and "only words" in found.description


def test_who_changes_the_judge_is_named_above_the_report(world: World) -> None:
    world.push(**{"src/mainline/ci/report.py": "x"})
    assert world.decide(world.trained()).text.startswith("> This pull request changes code that takes part in its own")


def test_the_merge_queue_passes_what_was_judged_and_nothing_else(world: World) -> None:
    head, main = world.tip, world.hub.git("rev-parse", "main")
    alone = world.hub.git("commit-tree", f"{head}^{{tree}}", "-p", main, "-m", "x", extra=WHO)
    other = world.hub.git("commit-tree", f"{main}^{{tree}}", "-p", main, "-m", "x", extra=WHO)
    run = Run(1, "merge_group", alone, f"gh-readonly-queue/main/pr-7-{main}", HOME, "skipped")
    assert world.decide(run).state == "failure"  # the pull request has no verdict
    world.here.server.set_status(head, "success", "x")
    assert world.decide(run).state == "success"
    for odd in (replace(run, head=other), replace(run, branch="gh-readonly-queue/dev/pr-7-" + main),
                replace(run, branch="topic"), replace(run, home="eve/loans")):  # fmt: skip
        assert world.decide(odd).state == "failure"
    world.hub.statuses[-1]["creator"] = {"login": "mallory"}
    assert world.decide(run).state == "failure"


WHO = {f"GIT_{role}_{key}": "t@example.org" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}


def test_a_workflow_of_our_name_in_another_file_is_passed_over(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {"id": 1, "event": "pull_request", "head_sha": "a" * 40, "head_branch": "topic", "conclusion": "success",
             "head_repository": {"full_name": HOME}, "path": ".github/workflows/mine.yml@main"}  # fmt: skip
    file = tmp_path / "event.json"
    for path, taken in ((found["path"], False), (".github/workflows/pull-request.yml@topic", True)):
        file.write_text(json.dumps({"workflow_run": found | {"path": path}}))
        assert (finished_run({"GITHUB_EVENT_PATH": str(file)}) is not None) is taken
    for odd in ({}, {"workflow_run": None}, {"workflow_run": found | {"head_sha": "$(id)"}}):
        file.write_text(json.dumps(odd))
        with pytest.raises(UserError):
            finished_run({"GITHUB_EVENT_PATH": str(file)})


def test_a_verdict_that_is_there_is_not_made_pending_again(world: World) -> None:
    head = world.tip
    pull = PullRequest(7, head, head, "topic", HOME, False)
    assert begin(pull, "opened", world.here) == ("pending", "waiting for the run of workflow `pull request`")
    world.here.server.set_status(head, "success", "x")
    assert begin(pull, "synchronize", world.here) is None
    tell(Finding(head, "pending", "cancelled", 7, keep=True), world.here)
    assert [state for _, state in states(world)] == ["pending", "success"]
    for action in ("edited", "reopened"):
        assert begin(pull, action, world.here) is not None
    world.hub.statuses[-1] |= {"state": "success", "creator": {"login": "mallory"}}
    assert begin(pull, "opened", world.here) is not None  # another's status is not a verdict


def test_a_pull_request_into_another_branch_is_not_judged(world: World) -> None:
    world.push(**{"params.yaml": "C: 1", "README.md": "b"})
    pull = PullRequest(7, world.tip, "a" * 40, "topic", HOME, False, target="parent")
    assert begin(pull, "opened", world.here) == ("pending", "judged when it targets main")
    assert begin(replace(pull, target="main"), "edited", world.here)[0] == "success"  # type: ignore[index]


def test_nothing_that_fails_after_the_status_is_an_error(world: World) -> None:
    for path in ("/check-runs", "/comments"):
        world.hub.refuse[path] = 403
    tell(Finding(world.tip, "failure", "x", 7, "text"), world.here, folder=world.top / "comment")
    assert states(world) == [(world.tip, "failure")]
    world.hub.refuse["/statuses/"] = 403
    with pytest.raises(UserError):
        tell(Finding(world.tip, "failure", "x", 7, "text"), world.here, folder=world.top / "comment")


def program(folder: Path, script: str) -> str:
    folder.mkdir(exist_ok=True)
    (folder / "cml").write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    (folder / "cml").chmod(0o755)
    return f"{folder}:/usr/bin:/bin"


def test_one_comment_is_kept_whoever_posts(
    world: World, event: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(Finding(world.tip, "failure", "x", 7, "# One"), world.here, folder=world.top / "artifacts" / "comment")
    world.hub.artifacts = world.top / "artifacts"
    event()
    (tmp_path / "event.json").write_text('{"workflow_run": {"id": 1}}')

    def comment(script: str) -> str:
        monkeypatch.setenv("PATH", program(tmp_path / "bin", script))
        done = CliRunner().invoke(app, ["ci", "comment"])
        assert done.exit_code == 0
        return done.output

    assert "exit code 1" in comment("echo no canvas >&2; exit 1") and len(world.hub.comments) == 1
    assert "CML commented on #7" in comment(
        f'echo "$ITERATIVE_DO_NOT_TRACK $@" > {tmp_path}/said; cat "$6" >> {tmp_path}/said'
    )
    said = (tmp_path / "said").read_text()
    assert said.startswith("1 comment update --target=pr/7 --publish=false --watermark-title=mainline ")
    assert f"{MARK}\n# One" in said
    # A CML that did not find ours wrote one of its own: the older one goes.
    own = {
        "id": 5,
        "issue": 7,
        "user": {"type": "Bot"},
        "body": f"# Two\n\n![](https://cml.dev/watermark.png#ab {CML_MARK}",
    }
    world.hub.comments.append(own)
    person = {"id": 6, "issue": 7, "user": {"type": "User"}, "body": f"{MARK} mine {CML_MARK}"}
    world.hub.comments.append(person)
    comment("exit 0")
    assert world.hub.comments == [own, person]
    world.here.server.comment(7, "# Three")
    assert [item["id"] for item in world.hub.comments] == [5, 6] and "# Three" in world.hub.comments[0]["body"]
    world.hub.refuse["/zip"] = 404
    assert "CML did not comment" in comment("exit 0")


def test_an_archive_that_would_do_harm_is_left_closed(world: World) -> None:
    from mainline.ci import artifact

    file = world.top / "x.zip"
    wanted = {"a.json": 1_000}
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b" " * 50_000_000)
    assert file.stat().st_size < 100_000
    with pytest.raises(UserError, match="larger than 1,000"):
        artifact.unpack(file, wanted)
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(300):
            archive.writestr(str(number), b"")
    with pytest.raises(UserError, match="members"):
        artifact.unpack(file, wanted)
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = b"x"
        archive.writestr("a.json", b"{}")
    with pytest.raises(UserError, match="plain ZIP"):
        artifact.unpack(file, wanted)
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("a.json", "../a.json", "/etc/passwd", "b/a.json"):
            archive.writestr(name, name)
    assert artifact.unpack(file, wanted) == {"a.json": b"a.json"}
    with pytest.warns(UserWarning), zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.json", b"{}")
        archive.writestr("a.json", b"[]")
    with pytest.raises(UserError, match="twice"):
        artifact.unpack(file, wanted)
    sound = world.top / "sound.zip"
    with zipfile.ZipFile(sound, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", b'{"a": 1}' * 20)
    data = sound.read_bytes()
    for size in range(0, len(data), 7):
        for harmed in (data[:size], data[:size] + b"\xff" + data[size + 1 :]):
            file.write_bytes(harmed)
            try:
                artifact.unpack(file, wanted)
            except UserError:
                continue
