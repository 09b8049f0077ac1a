"""All checks, one after the other; one that stumbles stops no other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from mainline.doctor import pipeline, releases, repository, serving, settings, storage, watching
from mainline.doctor.curtain import hide, secrets_of
from mainline.doctor.found import Check, Finding, Found, NotSeen, broken
from mainline.doctor.sight import Sight
from mainline.errors import UserError

ROOMS = (repository, pipeline, storage, serving, releases, watching, settings)
CHECKS: tuple[Check, ...] = tuple(check for room in ROOMS for check in room.CHECKS)


def examine(sight: Sight, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Return what each check found, with no secret in it."""
    secrets = _secrets(sight)
    findings = []
    for check in checks:
        found = _look(check, sight)
        findings.append(
            Finding(check.name, check.area, found.status, hide(found.text, secrets), hide(found.fix, secrets))
        )
    return findings


def _look(check: Check, sight: Sight) -> Found:
    try:
        return check.look(sight)
    except NotSeen as reason:
        return Found("unknown", str(reason), _token(str(reason)))
    except UserError as error:
        return broken(error.problem, error.fix)
    except OSError as error:
        return Found("unknown", f"not checked: {error.strerror or type(error).__name__}")
    except subprocess.TimeoutExpired as error:
        return Found("unknown", f"not checked: no end after {error.timeout:g} seconds")


def _token(reason: str) -> str:
    return "export GITHUB_TOKEN=$(gh auth token)" if "no token" in reason else ""


def _secrets(sight: Sight) -> set[str]:
    try:
        key = sight.settings.serve.api_key_env
    except NotSeen:
        key = None
    lines = sight.git("config", "--get-regexp", r"^(remote\..*url|url\..*|http\..*extraheader)$").splitlines()
    headers = {line.split()[-1] for line in lines if "extraheader" in line.split()[0].lower()}
    return secrets_of(sight.environment, sight.root, lines, key) | headers
