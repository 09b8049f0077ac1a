"""Keys for storage of one's own, by name: in the store for Actions, in Dependabot's, and where only main may write."""

from __future__ import annotations

import re

from mainline.doctor.actions import yml
from mainline.doctor.found import Check, Found, NotSeen, gap, ok, optional
from mainline.doctor.rules import protected
from mainline.doctor.sight import Sight
from mainline.doctor.storage import AREA
from mainline.dvc import default_remote
from mainline.keys import PREFIX as WRITE
from mainline.plugins import PLUGINS

ENVIRONMENT = "storage"
# How the names of a storage's secrets begin; a name that matches none of these is somebody's own.
PREFIXES = {"s3": ("AWS_",), "gs": ("GOOGLE_", "GCP_", "GCS_"), "azure": ("AZURE_",), "ssh": ("SSH_",)}
KNOWN = tuple(prefix for prefixes in PREFIXES.values() for prefix in prefixes)
# Set only where the storage asks for it.
SPARE = re.compile(r"SESSION_TOKEN|ENDPOINT|REGION")
KEYLESS = re.compile(
    r"^\s*(?:-\s+)?uses:\s*(?:aws-actions/configure-aws-credentials|google-github-actions/auth|azure/login)@",
    re.MULTILINE,
)
HELP = "docs/operations.md, storage of your own"


def named(sight: Sight) -> set[str]:
    """Return the secrets that the workflows name."""
    texts = [file.read_text(encoding="utf-8") for file in yml(sight.root)]
    return {name for text in texts for name in re.findall(r"\bsecrets\.(\w+)", text)} - {"GITHUB_TOKEN"}


def scheme(sight: Sight) -> str:
    """Return the scheme of the default remote that asks for a key, an empty text if it needs none."""
    found = str(default_remote(sight.root)[1].get("url", "")).partition("://")[0]
    return found if found in PLUGINS else ""


def keyless(sight: Sight) -> bool:
    """Return whether a workflow logs in to a cloud without a stored key."""
    return any(KEYLESS.search(file.read_text(encoding="utf-8")) for file in yml(sight.root))


def reading(sight: Sight) -> list[str]:
    """Return the names of the secrets with which the workflows read from the storage that is configured."""
    open_to_all = str(default_remote(sight.root)[1].get("allow_anonymous_login", "")).lower() == "true"
    if keyless(sight) or open_to_all:
        return []
    return sorted(name for name in named(sight) if name.startswith(PREFIXES.get(scheme(sight), ("\0",)))
                  and not SPARE.search(name))  # fmt: skip


def wanted(sight: Sight) -> list[str]:
    """Return the secrets that the workflows name and this configuration needs, those that write left out."""
    own = {name for name in named(sight) if not name.startswith((WRITE, *KNOWN))}
    if sight.settings.rollout.target != "kubernetes":
        own -= {"REGISTRY_TOKEN"}
    return sorted(own | set(reading(sight)))


def secrets(sight: Sight) -> Found:
    """Every secret that this configuration needs exists."""
    names, kind = wanted(sight), scheme(sight)
    if kind and not keyless(sight) and not any(name.startswith(PREFIXES[kind]) for name in named(sight)):
        return gap(f"no workflow gives a key to {kind}://", HELP)
    if not names:
        return ok("none is needed")
    known = {str(item.get("name")) for item in sight.hub.entries("actions/secrets", "secrets")}
    if not known.issuperset(names):
        shared = sight.hub.ask("actions/organization-secrets?per_page=100", absent="none") or {}
        known |= {str(item.get("name")) for item in shared.get("secrets") or []}
    lacking = [name for name in names if name not in known]
    if lacking:
        fix = " && ".join(f"gh secret set {name}" for name in lacking)
        return gap(f"a workflow needs {', '.join(lacking)}, which is not set", fix)
    return ok(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} set")


def dependabot(sight: Sight) -> Found:
    """Dependabot's pull requests get the keys of the storage, too; they see no secret of Actions."""
    names = reading(sight)
    if not names:
        return ok("none is needed")
    known = {str(item.get("name")) for item in sight.hub.entries("dependabot/secrets", "secrets")}
    lacking = [name for name in names if name not in known]
    if lacking:
        fix = " && ".join(f"gh secret set {name} --app dependabot" for name in lacking)
        return gap(f"Dependabot's pull requests get no {', '.join(lacking)}: their runs cannot read the data", fix)
    return ok(f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} set for Dependabot, too")


def environment(sight: Sight) -> Found:
    """Only the default branch's code gets the key that may write to the storage."""
    if not scheme(sight):
        return ok("not needed: the storage asks for no key")
    if not sight.required:
        raise NotSeen("not checked: this plan has no rules for environments; the key that writes is the repository's")
    found = protected(sight, (ENVIRONMENT,))
    if found.status != "ok":
        return found
    names = [f"{WRITE}{name}" for name in reading(sight) if f"{WRITE}{name}" in named(sight)]
    known = {str(item.get("name")) for item in sight.hub.entries(f"environments/{ENVIRONMENT}/secrets", "secrets")}
    lacking = [name for name in names if name not in known]
    if lacking:
        return optional(
            "no key of its own that writes: the one that reads has to be able to, and each branch's code has it",
            " && ".join(f"gh secret set {name} --env {ENVIRONMENT}" for name in lacking),
        )
    return found


CHECKS = (
    Check("secrets", AREA, secrets, "the workflows reach your storage"),
    Check("Dependabot secrets", AREA, dependabot, "updates of dependencies can be judged"),
    Check("environment storage", AREA, environment, "the key that may write reaches main's code only"),
)
