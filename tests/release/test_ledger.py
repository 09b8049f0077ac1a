from __future__ import annotations

import datetime as dt
import math
import os
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mainline.errors import UserError
from mainline.release import repo as repo_module
from mainline.release.ledger import Deploy, Entry, Moved, State, Transition
from mainline.release.repo import Repo

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ONE = Entry("bank-000000000001", "c" * 40, 7, "promote", "ada", {"model": "ab"})


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def opened(folder: Path, remote: Path | None = None) -> Deploy:
    return Deploy.open(folder, None if remote is None else str(remote), lambda: NOON)


def built(release: str = ONE.release, **more: object) -> Transition:
    return Transition(release, "staging", "built", "ada", "merged", **more)  # type: ignore[arg-type]


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "--quiet", "--bare", str(tmp_path / "remote.git")], check=True)
    return tmp_path / "remote.git"


def test_a_new_ledger_has_empty_states_and_one_commit(tmp_path: Path) -> None:
    deploy = opened(tmp_path / "deploy")
    assert deploy.state("production") == State("production")
    assert deploy.state("staging") == State("staging")
    assert git(tmp_path / "deploy", "log", "--format=%s") == "Begin the ledger"
    assert git(tmp_path / "deploy", "status", "--porcelain") == ""
    assert opened(tmp_path / "deploy").head() == deploy.head()


def test_it_is_never_the_repository_above(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    deploy = opened(tmp_path / ".mainline" / "deploy")
    assert deploy.head()
    assert subprocess.run(["git", "-C", str(tmp_path), "rev-parse", "-q", "--verify", "HEAD"], check=False).returncode


def test_a_commit_is_read_back_and_shown_in_the_folder(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    wanted = State("production", "a-1", "b-2", "canary", 25, 2, {"steps": [1, 25]}, "2026-11-21T12:00:00Z", ("a-0",))
    new = deploy.commit("Try b-2", expect=deploy.head(), states=[wanted], entries=[ONE],
                        transitions=[built(weight=1, evidence={"errors": 0})])  # fmt: skip
    assert deploy.head() == new
    assert deploy.state("production") == replace(wanted, revision=1)
    assert deploy.entry(ONE.release).transitions == (
        replace(built(weight=1, evidence={"errors": 0}), time="2026-11-21T12:00:00Z"),
    )
    assert replace(deploy.entry(ONE.release), transitions=()) == ONE
    assert deploy.releases() == [ONE.release]
    assert "weight: 25" in (tmp_path / "production.yaml").read_text()
    assert git(tmp_path, "status", "--porcelain") == ""
    assert git(tmp_path, "log", "-1", "--format=%s %cI") == "Try b-2 2026-11-21T12:00:00+00:00"


def test_transitions_are_only_appended_whatever_an_entry_brings(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    deploy.commit("Build", expect=deploy.head(), entries=[ONE], transitions=[built()])
    deploy.commit("Approve", expect=deploy.head(), entries=[replace(ONE, approver="grace", transitions=())],
                  transitions=[replace(built(), event="approved")])  # fmt: skip
    entry = deploy.entry(ONE.release)
    assert entry.approver == "grace"
    assert [item.event for item in entry.transitions] == ["built", "approved"]


def test_large_evidence_gets_a_file_and_a_changed_one_is_noticed(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    large = {"scores": list(range(2000))}
    deploy.commit("Build", expect=deploy.head(), entries=[ONE], transitions=[built(evidence=large)])
    (item,) = deploy.entry(ONE.release).transitions
    assert item.evidence is not None
    assert set(item.evidence) == {"file", "sha256"}
    assert deploy.evidence(item) == large
    file = tmp_path / item.evidence["file"]
    file.write_text(file.read_text().replace("1999", "1998"))
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "Tidy")
    with pytest.raises(UserError, match="not the evidence that was written"):
        deploy.evidence(item)


def test_evidence_may_hold_what_statistics_give(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    found = {
        "p": np.float64("nan"),
        "n": np.int64(3),
        "passed": np.bool_(True),
        "bounds": (0.5, math.inf),
        "by": {1: "x"},
    }
    deploy.commit("Build", expect=deploy.head(), entries=[ONE], transitions=[built(evidence=found)])
    (item,) = deploy.entry(ONE.release).transitions
    assert item.evidence == {"p": None, "n": 3, "passed": True, "bounds": [0.5, None], "by": {"1": "x"}}


def test_a_transition_of_an_unknown_release_changes_nothing(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    head = deploy.head()
    with pytest.raises(UserError, match="bank-9.yaml.*not there"):
        deploy.commit("Build", expect=head, transitions=[built("bank-9")])
    assert deploy.head() == head


@pytest.mark.parametrize("name", ["../../etc", "a/b", "", ".hidden", "-x"])
def test_a_release_id_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    deploy = opened(tmp_path)
    with pytest.raises(UserError, match="no release id"):
        deploy.commit("Build", expect=deploy.head(), entries=[replace(ONE, release=name)])


def test_the_second_of_two_who_read_the_same_head_is_refused(tmp_path: Path) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    head = second.head()
    first.commit("One", expect=head, entries=[ONE])
    with pytest.raises(Moved, match="expected .*, found"):
        second.commit("Two", expect=head, entries=[replace(ONE, release="bank-2")])
    assert second.releases() == [ONE.release]


def test_a_state_of_an_older_revision_is_refused(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    old = deploy.state("production")
    deploy.commit("One", expect=deploy.head(), states=[replace(old, stable="a")])
    with pytest.raises(Moved, match="revision 1 is there"):
        deploy.commit("Two", expect=deploy.head(), states=[replace(old, stable="b")])


def test_the_branch_moves_only_from_where_it_was_also_past_our_own_lock(tmp_path: Path) -> None:
    """A person's `git commit` in the folder takes no lock of ours."""
    deploy = opened(tmp_path)
    before = deploy.head()
    made = deploy.repo.write_commit("x", {"a": "b"}, before, NOON)
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "own")
    own = deploy.head()
    with pytest.raises(Moved):
        deploy.repo.move(made, before)
    assert deploy.head() == own


def test_of_many_at_once_exactly_one_wins(tmp_path: Path) -> None:
    head = opened(tmp_path).head()
    results: list[str] = []

    def attempt(number: int) -> None:
        try:
            opened(tmp_path).commit(str(number), expect=head, states=[State("production", f"bank-{number}")])
            results.append("won")
        except Moved:
            results.append("moved")

    threads = [threading.Thread(target=attempt, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == ["moved"] * 3 + ["won"]


def test_a_remote_gets_each_commit_and_another_clone_follows(tmp_path: Path, bare: Path) -> None:
    one, two = opened(tmp_path / "one", bare), opened(tmp_path / "two", bare)
    assert one.head() == two.head() == git(bare, "rev-parse", "deploy")
    new = one.commit("One", expect=one.head(), entries=[ONE])
    assert git(bare, "rev-parse", "deploy") == new
    assert two.refresh() == new
    assert two.entry(ONE.release) == ONE
    assert opened(tmp_path / "two").remote == str(bare), "the address is remembered"


def test_the_environment_may_name_the_remote(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head = opened(tmp_path / "one", bare).head()
    monkeypatch.setenv("MAINLINE_DEPLOY_REMOTE", str(bare))
    assert opened(tmp_path / "two").head() == head


def test_a_remote_that_moved_refuses_the_push(tmp_path: Path, bare: Path) -> None:
    one, two = opened(tmp_path / "one", bare), opened(tmp_path / "two", bare)
    stale = two.head()
    new = one.commit("One", expect=one.head(), states=[State("production", "a")])
    with pytest.raises(Moved):
        two.commit("Two", expect=stale, states=[State("production", "b")])
    assert two.head() == stale
    assert git(bare, "rev-parse", "deploy") == new
    assert two.refresh() == new


def test_a_remote_that_was_set_back_refuses_the_push(tmp_path: Path, bare: Path) -> None:
    """A plain push would go through: what the remote has now is an ancestor of what is pushed."""
    one = opened(tmp_path / "one", bare)
    begin = one.head()
    after = one.commit("One", expect=begin, states=[State("production", "a")])
    git(bare, "update-ref", "refs/heads/deploy", begin)
    with pytest.raises(Moved):
        one.commit("Two", expect=after, states=[replace(one.state("production"), stable="b")])
    assert git(bare, "rev-parse", "deploy") == begin


def test_a_remote_that_forbids_the_push_changes_nothing_here(tmp_path: Path, bare: Path) -> None:
    one = opened(tmp_path / "one", bare)
    head = one.head()
    hook = bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\necho no >&2\nexit 1\n")
    hook.chmod(0o755)
    with pytest.raises(UserError, match="refused the commit") as caught:
        one.commit("One", expect=head, entries=[ONE])
    assert not isinstance(caught.value, Moved)
    assert one.head() == head
    assert one.releases() == []


def test_a_remote_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere.git does not answer"):
        opened(tmp_path / "one", tmp_path / "nowhere.git")


def test_a_local_ledger_is_taken_to_a_new_remote(tmp_path: Path, bare: Path) -> None:
    local = opened(tmp_path / "one")
    new = local.commit("One", expect=local.head(), entries=[ONE])
    assert opened(tmp_path / "one", bare).head() == new
    assert git(bare, "rev-parse", "deploy") == new


def test_commits_that_the_remote_lacks_are_not_thrown_away(tmp_path: Path, bare: Path) -> None:
    opened(tmp_path / "one", bare)
    two = opened(tmp_path / "two", bare)
    two.commit("Two", expect=two.head(), states=[State("production", "b")])
    git(tmp_path / "one", "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "own")
    with pytest.raises(UserError, match="has commits on deploy that .* lacks"):
        opened(tmp_path / "one")


def test_two_first_commits_at_once_end_with_one(tmp_path: Path, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    follow, calls = Deploy._follow, []

    def late(self: Deploy) -> None:
        follow(self)
        if not calls:
            calls.append(1)
            opened(tmp_path / "faster", bare)

    monkeypatch.setattr(Deploy, "_follow", late)
    slow = Deploy.open(tmp_path / "slow", str(bare), lambda: NOON + dt.timedelta(hours=1))
    assert slow.head() == opened(tmp_path / "faster").head() == git(bare, "rev-parse", "deploy")


KILLED = """
    import os, sys
    from pathlib import Path
    from mainline.release import ledger, repo
    from mainline.release.ledger import Deploy, State

    def die(*_, **__):
        os._exit(9)

    deploy = Deploy.open(Path(sys.argv[1]), sys.argv[2] or None)
    {plant}
    deploy.commit("One", expect=deploy.head(), states=[State("production", "a")])
"""
POINTS = {
    "before the objects": ("repo.Repo.write_commit = die", False),
    "after the objects": ("ledger.push = die; repo.Repo.move = die", False),
    "after the push": ("repo.Repo.move = die", True),
    "before the work tree": ("repo.Repo.show = die", True),
    "midway through the work tree": ("repo.write_atomic = die", True),
}


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("remote", [False, True], ids=["local", "remote"])
def test_killed_anywhere_it_is_the_old_or_the_new_state(tmp_path: Path, bare: Path, point: str, remote: bool) -> None:
    plant, there = POINTS[point]
    there = there and (remote or point != "after the push")
    folder = tmp_path / "deploy"
    program = textwrap.dedent(KILLED).replace("{plant}", plant)
    command = [sys.executable, "-c", program, str(folder), str(bare) if remote else ""]
    assert subprocess.run(command, check=False).returncode == 9
    deploy = opened(folder)
    assert deploy.state("production") == (State("production", "a", revision=1) if there else State("production"))
    assert git(folder, "status", "--porcelain") == ""
    deploy.commit("Two", expect=deploy.head(), states=[replace(deploy.state("production"), stable="b")])


@pytest.mark.parametrize("lock", ["index.lock", "HEAD.lock", "refs/heads/deploy.lock"])
def test_a_lock_file_that_a_killed_git_left_is_no_obstacle(tmp_path: Path, lock: str) -> None:
    deploy = opened(tmp_path)
    left = tmp_path / ".git" / lock
    left.touch()
    os.utime(left, (1, 1))
    deploy.commit("One", expect=deploy.head(), states=[State("production", "a")])
    assert not left.exists()


def test_a_half_written_index_is_no_obstacle(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    (tmp_path / ".git" / "index").write_bytes(b"DIRC\0\0\0\2half")
    deploy.commit("One", expect=deploy.head(), states=[State("production", "a")])
    assert git(tmp_path, "status", "--porcelain") == ""


@pytest.mark.parametrize("content", ["", "f" * 40 + "\n", "nonsense"])
def test_a_damaged_branch_is_never_begun_anew(tmp_path: Path, bare: Path, content: str) -> None:
    head = opened(tmp_path / "one", bare).head()
    for folder in (tmp_path / "one", tmp_path / "two"):
        opened(folder)
        (folder / ".git" / "refs/heads/deploy").write_text(content)
        with pytest.raises(UserError, match="the repository is damaged: branch deploy points to nothing"):
            opened(folder)
        assert (folder / ".git" / "refs/heads/deploy").read_text() == content
    assert git(bare, "rev-parse", "deploy") == head


def test_a_lost_object_is_named(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    blob = git(tmp_path, "rev-parse", "deploy:production.yaml")
    (tmp_path / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(UserError, match="the repository is damaged"):
        deploy.state("production")


def test_half_a_repository_is_made_whole(tmp_path: Path) -> None:
    (tmp_path / ".git" / "objects").mkdir(parents=True)
    assert opened(tmp_path).state("production") == State("production")


def test_who_waits_too_long_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deploy = opened(tmp_path)
    monkeypatch.setattr(repo_module, "WAIT", 0.1)
    with Repo(tmp_path).guarded(), pytest.raises(UserError, match="another mainline command"):
        deploy.commit("One", expect=deploy.head())


def test_an_edit_that_was_not_committed_is_put_aside_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(tmp_path)
    file = tmp_path / "production.yaml"
    file.write_text(file.read_text().replace("stable: null", "stable: evil"))
    deploy = opened(tmp_path)
    assert deploy.state("production").stable is None
    assert "stable: null" in file.read_text()
    assert "stable: evil" in (tmp_path / "production.yaml.edited").read_text()
    assert "does not count" in capsys.readouterr().out
    opened(tmp_path)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("weight: 0", "weight: many", "weight: Input should be a valid integer"),
        ("weight: 0", "weight: 101", "weight: 101 is not between 0 and 100"),
        ("weight: 0", "weight: 5", "weight: 5 without a candidate"),
        ("weight: 0\n", "", "weight: is missing"),
        ("weight: 0", "wieght: 0", "weight: is missing"),
        ("step: 0", "step: 0\ncolour: red", "colour: Unexpected keyword argument"),
        ("phase: null", "phase: canery", "phase: Input should be"),
        ("stable: null", "stable: ../x", "stable: '../x' is no release id"),
        ("started: null", "started: yesterday", "started: 'yesterday' is no time with its zone"),
        ("started: null", "started: 2026-01-01", "started: '2026-01-01' is no time with its zone"),
        ("stable: null", "stable: [", "is not valid YAML"),
        ("stable: null", "stable: \udce9", "is not valid YAML"),
        ("stable: null\ncandidate: null", "stable: a\ncandidate: a", "candidate: a is the stable release already"),
    ],
)
def test_a_broken_state_names_file_and_key(tmp_path: Path, old: str, new: str, said: str) -> None:
    opened(tmp_path)
    file = tmp_path / "production.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new), errors="surrogateescape")
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "Fix it by hand")
    with pytest.raises(UserError) as caught:
        opened(tmp_path).state("production")
    assert "production.yaml on branch deploy" in caught.value.problem
    assert said in caught.value.problem
    assert "git revert" in caught.value.fix


def test_an_unquoted_time_is_accepted(tmp_path: Path) -> None:
    opened(tmp_path)
    file = tmp_path / "production.yaml"
    file.write_text(file.read_text().replace("started: null", "started: 2026-11-21T12:00:00+00:00"))
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "Fix it by hand")
    assert opened(tmp_path).state("production").started == "2026-11-21T12:00:00+00:00"


def test_a_broken_entry_names_file_and_key(tmp_path: Path) -> None:
    deploy = opened(tmp_path)
    deploy.commit("Build", expect=deploy.head(), entries=[ONE], transitions=[built()])
    file = tmp_path / "ledger" / f"{ONE.release}.yaml"
    file.write_text(file.read_text().replace("event: built", "event: bilt"))
    git(tmp_path, "-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qam", "Fix it by hand")
    with pytest.raises(UserError, match=r"ledger/bank-000000000001.yaml .*: transitions\.0\.event: .*'bilt'"):
        deploy.entry(ONE.release)


def test_a_git_environment_from_outside_is_not_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hook sets these; git would write into the repository that runs the hook."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "elsewhere.index"))
    assert opened(tmp_path / "deploy").state("production") == State("production")
    assert not (tmp_path / "elsewhere.index").exists()


def test_the_monitor_stops_no_rollout_and_no_rollout_the_monitor(bare: Path, tmp_path: Path) -> None:
    rollout, monitor = opened(tmp_path / "rollout", bare), opened(tmp_path / "monitor", bare)
    decided, looked = rollout.head(), monitor.head()
    monitor.keep("a window", {"monitor/log/a.json": "1\n"}, expect=looked)
    rollout.commit("built", expect=decided, entries=[ONE], transitions=[built()])
    monitor.keep("another", {"monitor/log/b.json": "2\n"}, expect=monitor.head())
    found = opened(tmp_path / "third", bare)
    assert found.releases() == [ONE.release] and found.entry(ONE.release).transitions[0].event == "built"
    assert found.repo.names("monitor") == ["monitor/log/a.json", "monitor/log/b.json"]
    assert git(bare, "rev-list", "--count", "deploy") == "4" and found.head() == monitor.head()


def test_what_was_decided_on_something_else_is_refused_whatever_the_monitor_did(bare: Path, tmp_path: Path) -> None:
    one, other, monitor = (opened(tmp_path / name, bare) for name in ("one", "other", "monitor"))
    head = one.head()
    other.commit("faster", expect=head, states=[replace(other.state("staging"), stable=None)])
    monitor.refresh()
    monitor.keep("a window", {"monitor/log/a.json": "1\n"}, expect=monitor.head())
    with pytest.raises(Moved):
        one.commit("too late", expect=head, entries=[ONE], transitions=[built()])
    one.refresh()
    with pytest.raises(Moved):
        one.keep("from before that window", {"monitor/log/a.json": "2\n"}, expect=head)
    assert one.repo.read("monitor/log/a.json") == "1\n" and one.releases() == []


def test_the_monitor_writes_nowhere_else(tmp_path: Path) -> None:
    deploy = opened(tmp_path / "deploy")
    with pytest.raises(ValueError, match="is not below monitor/"):
        deploy.keep("a trick", {"production.yaml": "stable: mine\n"}, expect=deploy.head())


def test_a_file_of_the_ledger_that_was_moved_below_monitor_is_not_the_monitors_doing(
    bare: Path, tmp_path: Path
) -> None:
    one, other = opened(tmp_path / "one", bare), opened(tmp_path / "other", bare)
    one.commit("built", expect=one.head(), entries=[ONE], transitions=[built()])
    other.refresh()
    head = other.head()
    work = tmp_path / "work"
    git(tmp_path, "clone", "--quiet", "--branch=deploy", str(bare), str(work))
    (work / "monitor" / "log").mkdir(parents=True)
    git(work, "mv", f"ledger/{ONE.release}.yaml", "monitor/log/a.json")
    git(work, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message=moved")
    git(work, "push", "--quiet", "origin", "deploy")
    with pytest.raises(Moved):
        other.commit("on what was there", expect=head, states=[replace(other.state("staging"), stable=None)])


def test_a_branch_of_this_name_that_holds_something_else_is_refused_by_name(bare: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    git(tmp_path, "init", "--quiet", "--initial-branch=deploy", str(work))
    (work / "Procfile").write_text("web: x\n")
    git(work, "add", "--all")
    git(work, "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "--quiet", "--message=ours")
    git(work, "push", "--quiet", str(bare), "deploy")
    before = git(bare, "rev-parse", "deploy")
    with pytest.raises(
        UserError, match="branch deploy of .* is not a ledger of releases: it has no production.yaml"
    ) as told:
        opened(tmp_path / "deploy", bare)
    assert "rename that branch" in told.value.fix and git(bare, "rev-parse", "deploy") == before
