"""Branch ``deploy`` as a workflow sees it: the repository's own remote, with a key that stands in no file."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path

from mainline.ci.event import BOT, git
from mainline.errors import UserError
from mainline.release.ledger import FOLDER, Deploy
from mainline.release.repo import REF

# git asks this at each push; what is started without the token gets an empty answer from it.
HELPER = '!f() { test "$1" != get || { echo username=x-access-token; echo "password=${GITHUB_TOKEN}"; }; }; f'


def open_ledger(root: Path = Path(), environment: MutableMapping[str, str] = os.environ) -> Deploy:
    """Return branch ``deploy`` of the remote that this clone came from; it is begun if there is none.

    Raises:
        UserError: the clone has no remote ``origin``, or that does not answer.
    """
    lend_key(environment)
    return Deploy.open(root / FOLDER, git(["remote", "get-url", "origin"], root=root).strip())


def find_ledger(root: Path = Path(), environment: MutableMapping[str, str] = os.environ) -> Deploy | None:
    """Return branch ``deploy`` as :func:`open_ledger`, None when the remote has none: a job that only reads makes none.

    Raises:
        UserError: the remote does not answer.
    """
    lend_key(environment)
    return open_ledger(root, environment) if git(["ls-remote", "origin", REF], root=root).strip() else None


def lend_key(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let every git of this process use GITHUB_TOKEN, and commit as the bot that pushes."""
    server = (environment.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
    environment["GIT_CONFIG_COUNT"] = "1"
    environment["GIT_CONFIG_KEY_0"] = f"credential.{server}.helper"
    environment["GIT_CONFIG_VALUE_0"] = HELPER
    for role in ("AUTHOR", "COMMITTER"):
        for key, value in BOT.items():
            environment[f"GIT_{role}_{key.upper()}"] = value


def run_number(environment: MutableMapping[str, str] = os.environ) -> int:
    """Return the number of the workflow's run.

    Raises:
        UserError: this is no run of a workflow.
    """
    number = environment.get("GITHUB_RUN_ID", "")
    if not number.isdigit():
        raise UserError(f"GITHUB_RUN_ID: {number!r} is no run", "this command belongs in a workflow")
    return int(number)


def by(environment: MutableMapping[str, str] = os.environ) -> str:
    """Return who acts, for the ledger: the workflow, its run, and who started it."""
    name, run = environment.get("GITHUB_WORKFLOW") or "workflow", environment.get("GITHUB_RUN_ID") or "?"
    return f"{name}, run {run}, started by {environment.get('GITHUB_ACTOR') or 'nobody'}"
