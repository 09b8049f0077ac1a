"""The repository itself: params.yaml, git, what is not committed, where it is pushed to."""

from __future__ import annotations

import re
from pathlib import Path

from mainline.address import shown
from mainline.config import load_settings
from mainline.doctor.found import Check, Found, NotSeen, broken, gap, ok, optional
from mainline.doctor.hub import repository_of
from mainline.doctor.sight import Sight
from mainline.errors import UserError

AREA = "your copy"


def params(sight: Sight) -> Found:
    """params.yaml can be read, and the project that it names is there."""
    try:
        settings = load_settings(sight.root / "params.yaml")
    except UserError as error:
        return broken(error.problem, error.fix)
    if not any((sight.root / folder / settings.project / "schema.py").is_file() for folder in ("src", ".")):
        return broken(
            f"params.yaml: project {settings.project!r}, but there is no src/{settings.project}/schema.py",
            "docs/make-it-yours.md: write it, or name another project",
        )
    return ok(f"project {settings.project}, task {settings.model.task}")


def git(sight: Sight) -> Found:
    """The folder is the top of a git repository that has a commit."""
    top = sight.git("rev-parse", "--show-toplevel")
    if not top:
        return gap("no git repository", "git init -b main && git add -A && git commit -m Start")
    if Path(top).resolve() != sight.root:
        return broken(f"this is not the top of the repository, which is {top}", f"cd {top}")
    if not sight.git("rev-parse", "--verify", "--quiet", "HEAD"):
        return gap("no commit yet", "git add -A && git commit -m Start")
    return ok(f"{sight.git('rev-list', '--count', 'HEAD')} commits")


def work_tree(sight: Sight) -> Found:
    """Everything is committed; a release is made of a commit."""
    needs_git(sight)
    status = sight.run("status", "--porcelain", "--no-renames", folder=sight.root).stdout
    lines = [line[3:] for line in status.splitlines()]
    if lines:
        some = ", ".join(lines[:3]) + (f" and {len(lines) - 3} more" if len(lines) > 3 else "")
        return optional(f"not committed: {some}", "git add … && git commit")
    return ok("everything is committed")


def branch(sight: Sight) -> Found:
    """The branch is pushed as far as this clone knows."""
    needs_git(sight)
    name = sight.git("symbolic-ref", "--quiet", "--short", "HEAD")
    if not name:
        return ok(f"at commit {sight.git('rev-parse', '--short', 'HEAD')}, on no branch")
    if not sight.origin:
        return ok(name)
    if not sight.git("rev-parse", "--verify", "--quiet", f"refs/remotes/origin/{name}"):
        return optional(f"{name}: was never pushed from here", f"git push -u origin {name}")
    ahead, behind = sight.git("rev-list", "--left-right", "--count", f"HEAD...refs/remotes/origin/{name}").split()
    if ahead != "0":
        return optional(f"{name}: {ahead} commits are not pushed", f"git push origin {name}")
    if behind != "0":
        return optional(f"{name}: {behind} commits behind origin", "git pull")
    return ok(f"{name}, as on origin")


def origin(sight: Sight) -> Found:
    """Git has a remote, it answers, and its address holds no password."""
    needs_git(sight)
    if not sight.origin:
        return optional("git has no remote origin: all works on this machine alone", "gh repo create --source . --push")
    address = shown(sight.origin)
    if re.search(r"^https?://[^/\s]*@", sight.origin):
        return gap(f"{address}: its address in .git/config holds a key", f"git remote set-url origin {address}")
    try:
        found = sight.asked()
    except NotSeen as reason:
        raise NotSeen(f"{address} ({reason})") from reason
    except UserError as error:
        if sight.online:
            return broken(f"{address}: {error.problem}", error.fix)
        raise NotSeen(f"{address}: {error.problem}; whether there is a network is not known") from error
    there = "with branch deploy" if found else "no branch deploy yet"
    return ok(f"{repository_of(sight.origin, sight.environment) or address}, answers, {there}")


def needs_git(sight: Sight) -> None:
    """Raise NotSeen where there is no commit to look at."""
    if not sight.git("rev-parse", "--verify", "--quiet", "HEAD"):
        raise NotSeen("not checked: no git repository with a commit")


CHECKS = (
    Check("params", AREA, params, "names the project, and every decision that you may change"),
    Check("git", AREA, git, "a release is made of a commit"),
    Check("work tree", AREA, work_tree, "what is not committed is in no release"),
    Check("branch", AREA, branch, "what is not pushed is seen by no workflow"),
    Check("origin", AREA, origin, "the repository whose workflows judge and release"),
)
