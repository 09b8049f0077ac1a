"""What must never be shown: keys in addresses, in the environment, in ``.dvc/config.local``, in git's remotes.

No check prints a value that may be one; this is the second line, for what other programs quote in their errors.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path
from urllib.parse import unquote

from configobj import ConfigObj, ConfigObjError

from mainline.address import shown

HIDDEN = "…"
SHORTEST = 5  # a shorter value is no key, and would blot out ordinary words
NAMES = re.compile(
    r"TOKEN|SECRET|PASS|CREDENTIAL|API_?KEY|ACCESS_?KEY|PRIVATE|AUTHORIZATION|CONNECTION_STRING|_KEY$|^KEY$"
)
PLAIN = ("url", "endpointurl", "region", "type", "verify", "remote")


def hide(text: str, secrets: Collection[str]) -> str:
    """Return ``text`` with every address made bare and every secret blotted out, the longest first."""
    text = shown(text)
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return text


def secrets_of(environment: Mapping[str, str], root: Path, addresses: Collection[str], key: str | None) -> set[str]:
    """Return the values that must not be shown.

    Args:
        addresses: of git's remotes; user and password in them count.
        key: name of the environment variable that holds the service's key.
    """
    found = {value for name, value in environment.items() if NAMES.search(name.upper()) or name == key}
    found |= set(_config_local(root))
    for address in (*addresses, *environment.values(), *found):
        for who in re.findall(r"://([^/\s]*)@", address):
            user, _, password = who.partition(":")
            found |= {password, unquote(password)} if password else {user, unquote(user)}
    return {value.strip() for value in found if len(value.strip()) >= SHORTEST}


def _config_local(root: Path) -> list[str]:
    """Return what ``.dvc/config.local`` sets for remotes, but for what says where they are."""
    file = root / ".dvc" / "config.local"
    try:
        content = ConfigObj(str(file), encoding="utf-8")
    except (OSError, ConfigObjError):
        return re.findall(r"=\s*(\S+)", file.read_text(encoding="utf-8", errors="replace")) if file.is_file() else []
    sections = [section for name, section in content.items() if name.startswith(("remote ", "'remote "))]
    return [
        str(value)
        for section in sections
        if isinstance(section, dict)
        for name, value in section.items()
        if name not in PLAIN
    ]
