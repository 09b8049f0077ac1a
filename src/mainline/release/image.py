"""The container image of a release: by digest, in the ledger, so that whoever starts it starts what was judged."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mainline.errors import UserError
from mainline.release.container import REGISTRY_KEYS, container, without_keys
from mainline.release.ledger import Deploy, Entry
from mainline.release.store import STORE

DIGEST = re.compile(r"[a-z0-9]+(?:[._/:-][a-z0-9]+)*@sha256:[0-9a-f]{64}")
KEY = "image"
SECONDS = 3600.0


def image_of(entry: Entry) -> str:
    """Return ``NAME@sha256:…`` of a release in the ledger, an empty text if it has none."""
    return entry.digests.get(KEY, "")


def enter_image(deploy: Deploy, release: str, reference: str, *, again: bool = False) -> str:
    """Write into the ledger which image holds ``release``; return the reference. Nothing to do if it is known.

    Raises:
        UserError: it is not named by digest, the release is not in the ledger, or has another image (unless ``again``).
    """
    if not DIGEST.fullmatch(reference):
        raise UserError(
            f"image {reference!r}: is not named by digest",
            "use NAME@sha256:<64 hex digits>; a tag can be moved after the release was judged",
        )
    entry = deploy.entry(release)
    known = image_of(entry)
    if known == reference:
        return reference
    if known and not again:
        raise UserError(
            f"release {release}: has the image {known} in the ledger",
            "if that one is lost for good: the same command with --again",
        )
    made = replace(entry, digests={**entry.digests, KEY: reference})
    what = f"instead of {known}" if known else "by digest"
    deploy.commit(f"image of {release}\n\n{reference} {what}", expect=deploy.head(), entries=[made])
    return reference


def publish(release: str, repository: str, store: Path = STORE, environment: Mapping[str, str] = os.environ) -> str:
    """Build the image of a release, push it to ``repository``, and return it by digest.

    With REGISTRY_TOKEN (and REGISTRY_USER) in ``environment`` the engine is logged in before; else it must be already.

    Raises:
        UserError: the release is absent or damaged, there is no engine, it failed, or names no digest.
    """
    engine, tag = container(release, store, f"{repository}:{release}")
    user, token = (environment.get(name, "") for name in REGISTRY_KEYS)
    if token:
        registry = repository.split("/")[0] if "/" in repository else ""
        server = [registry] if "." in registry or ":" in registry else []
        _engine([engine, "login", "--username", user, "--password-stdin", *server], token)
    _engine([engine, "push", tag])
    try:
        listed = json.loads(_engine([engine, "image", "inspect", "--format", "{{json .RepoDigests}}", tag]))
    except ValueError:
        listed = None
    for item in listed if isinstance(listed, list) else []:
        name, _, digest = str(item).rpartition("@")
        # An engine may write its own registry's name in front.
        if f"/{name}".endswith(f"/{repository}") and DIGEST.fullmatch(f"{repository}@{digest}"):
            return f"{repository}@{digest}"
    raise UserError(
        f"{tag}: was pushed, but {Path(engine).name} names no digest of it",
        f"ask the registry for it, then `mainline release image {release} NAME@sha256:…`",
    )


def _engine(command: list[str], text: str = "") -> str:
    """Return what the engine printed; it is started without our keys."""
    try:
        done = subprocess.run(
            command, input=text, capture_output=True, text=True, env=without_keys(), timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"{Path(command[0]).name} {command[1]}: {error}", "is the engine running?") from error
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{Path(command[0]).name} {command[1]}: {said}", "may you push there? docs/kubernetes.md")
    return done.stdout
