"""The keys of storage of one's own: under which names they come, and who gets the ones that may write.

A workflow names every secret, whether it is set or not; GitHub gives an empty text for one that is not. The libraries
take an empty text for an answer (``https://s3..amazonaws.com``, "authentication via connection string failed"), so
empty ones are taken out before any of them is asked.
"""

from __future__ import annotations

import atexit
import json
import os
import tempfile
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from pathlib import Path

from mainline.errors import UserError

DATA = "GOOGLE_APPLICATION_CREDENTIALS_DATA"
FILE = "GOOGLE_APPLICATION_CREDENTIALS"
# What a workflow gives to a job that touches storage: secrets for reading, and variables.
SECRETS: Mapping[str, tuple[str, ...]] = {
    "s3": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    "gs": (DATA,),
    "azure": ("AZURE_STORAGE_SAS_TOKEN",),
}
VARIABLES = ("AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT")
# The keys that may write have the same names behind this. Only a push gets them.
PREFIX = "MAINLINE_WRITE_"
WRITE = (*(f"{PREFIX}{name}" for names in SECRETS.values() for name in names), f"{PREFIX}{FILE}")
# An empty text in one of these is an answer to some library, and a wrong one.
EMPTY = (
    *(name for names in SECRETS.values() for name in names),
    *VARIABLES,
    *WRITE,
    FILE,
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_PROFILE",
    "AZURE_STORAGE_CONNECTION_STRING",
    "AZURE_STORAGE_KEY",
    "AZURE_TENANT_ID",
    "AZURE_CLIENT_ID",
    "AZURE_CLIENT_SECRET",
)


def prepare(environment: MutableMapping[str, str] = os.environ) -> None:
    """Take the empty names out, and put Google's key, which its libraries read from a file only, into one.

    The file is this user's alone, and gone when this process ends.

    Raises:
        UserError: Google's key is not a JSON object.
    """
    for name in EMPTY:
        if environment.get(name) == "":
            del environment[name]
    for prefix in ("", PREFIX):
        text = environment.pop(prefix + DATA, "")
        if text:
            environment[prefix + FILE] = _file(prefix + DATA, text)


def environment_of(environment: Mapping[str, str], *, push: bool) -> dict[str, str]:
    """Return the environment for a program that speaks to storage: with the keys that write only for a push."""
    own = {name: value for name, value in environment.items() if not name.startswith(PREFIX)}
    write = {name.removeprefix(PREFIX): value for name, value in environment.items() if name in WRITE and value}
    if not push or not write:
        return own
    if "AWS_ACCESS_KEY_ID" in write:
        own.pop("AWS_SESSION_TOKEN", None)  # it belongs to the other key
    return own | write


def has_key(scheme: str, environment: Mapping[str, str]) -> bool:
    """Return whether there is a key for storage of that scheme under the names that the workflows use."""
    return all(environment.get(FILE if name == DATA else name) for name in SECRETS.get(scheme, ()))


def _file(name: str, text: str) -> str:
    try:
        known = isinstance(json.loads(text), dict)
    except ValueError:
        known = False
    if not known:  # not the parser's words: they may quote the key
        raise UserError(f"{name}: is not a JSON object", "make the secret of the whole key file that Google gives")
    handle, path = tempfile.mkstemp(prefix="mainline-key-", suffix=".json")
    with os.fdopen(handle, "w", encoding="utf-8") as stream:
        stream.write(text)
    atexit.register(_remove, Path(path))
    return path


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
