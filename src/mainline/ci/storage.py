"""Why storage of one's own cannot be reached from this run, in words for the person who can change it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mainline import keys, stored
from mainline.address import shown
from mainline.ci.event import pull_request
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.files import write_json
from mainline.objects import data_outputs, stage_outputs
from mainline.remote import is_embedded

STOPPED = Path("reports", "stopped.json")
DOCS = "docs/operations.md, Storage of your own"
BOT = "dependabot[bot]"


@contextmanager
def explained(root: Path = Path(), environment: Mapping[str, str] = os.environ) -> Iterator[None]:
    """When something stops inside and storage cannot be reached, say that instead: the rest follows from it.

    Raises:
        UserError: what stopped, or the reason behind it.
    """
    try:
        yield
    except UserError as error:
        why = refusal(root, environment)
        if why is None:
            raise
        if (root / STOPPED).is_file():
            write_json(root / STOPPED, {"problem": why.problem, "fix": why.fix})
        raise why from error


def refusal(root: Path = Path(), environment: Mapping[str, str] = os.environ) -> UserError | None:
    """Return why storage of one's own cannot be read from here; None if it can, or if there is none."""
    try:
        if is_embedded(root):
            return None
        remote = stored.default_remote(root)
        if not remote.scheme:
            return None
        for output in (data_outputs(root) or stage_outputs(root))[:1]:
            stored.reach(remote, output, cache_folder(root), root)
    except stored.Silent as silent:
        return _reason(shown(remote.url), remote.scheme, silent, environment)
    except UserError:
        return None
    return None


def _reason(url: str, scheme: str, silent: stored.Silent, environment: Mapping[str, str]) -> UserError:
    names = ", ".join(keys.SECRETS.get(scheme, ()))
    if environment.get("GITHUB_ACTIONS") != "true" or not names or silent.cause == "the host does not answer":
        return UserError(f"{url}: {silent.cause or silent.problem}", silent.fix)
    if silent.cause == "the bucket does not exist":
        return UserError(f"{url}: the bucket does not exist", silent.fix)
    dependabot = environment.get("GITHUB_ACTOR") == BOT
    store = f"Settings → Secrets and variables → {'Dependabot' if dependabot else 'Actions'}"
    if keys.has_key(scheme, environment):
        words = silent.cause or silent.problem
        return UserError(f"{url}: {words}", f"{store}: the key in {names} must list and read there ({DOCS})")
    if dependabot:
        return UserError(
            f"{url}: no key: a run of Dependabot gets the secrets of Dependabot's own store only, and {names} are "
            "not there",
            f"{store}: the keys for reading, then run the job again ({DOCS})",
        )
    if home := _fork(environment):
        return UserError(
            f"{url}: no key: GitHub gives the run of a fork no secret, so {home[:100]} cannot read the data there",
            f"ask for the head of this pull request to be pushed to a branch of this repository ({DOCS})",
        )
    return UserError(f"{url}: no key: the secrets {names} are not set", f"{store}: the key for reading ({DOCS})")


def _fork(environment: Mapping[str, str]) -> str:
    try:
        found = pull_request(environment)
    except UserError:
        return ""
    return found.home if found.fork else ""
