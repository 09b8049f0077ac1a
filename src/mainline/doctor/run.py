"""All checks in the order of the first hour; one that fails stops no other."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence

from mainline.doctor import actions, keys, pipeline, releases, repository, rules, serving, settings, storage, watching
from mainline.doctor.curtain import hide, secrets_of
from mainline.doctor.found import Check, Finding, Found, NotSeen, broken
from mainline.doctor.sight import Sight
from mainline.errors import UserError

# In the order of the first hour, which docs/first-hour.md tells in words.
ROOMS = (repository, pipeline, settings, actions, rules, storage, keys, releases, watching, serving)
CHECKS: tuple[Check, ...] = tuple(check for room in ROOMS for check in room.CHECKS)


def examine(sight: Sight, checks: Sequence[Check] = CHECKS) -> list[Finding]:
    """Return what each check found, with no secret in it."""
    secrets = _secrets(sight)
    steps = {check.name: number for number, check in enumerate(CHECKS, 1)}
    findings = []
    for check in checks:
        found = _look(check, sight)
        text, fix = hide(found.text, secrets), hide(found.fix, secrets)
        findings.append(Finding(check.name, check.area, found.status, text, fix, check.gives, steps.get(check.name, 0)))
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
