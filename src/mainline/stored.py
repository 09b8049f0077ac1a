"""The default remote: which one it is, and what it does not hold."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from configobj import ConfigObj

from mainline import dvc
from mainline.address import shown
from mainline.errors import UserError
from mainline.objects import Output, expand, intact

SECONDS = 900.0


class Silent(UserError):
    """Storage refuses or does not answer; ``cause`` is what :func:`mainline.dvc.cause` makes of it, "" if unknown."""

    def __init__(self, problem: str, fix: str, cause: str) -> None:
        super().__init__(problem, fix)
        self.cause = cause


@dataclass(frozen=True)
class Remote:
    """A remote by its name in ``.dvc/config``, with its settings; ``config.local`` is counted in."""

    name: str
    section: dict[str, Any]

    @property
    def url(self) -> str:
        """Where it is."""
        return str(self.section["url"])

    @property
    def scheme(self) -> str:
        """``s3``, ``gs``, ``azure``, ``ssh``; empty for a folder."""
        return self.url.partition("://")[0] if "://" in self.url else ""


def default_remote(root: Path = Path()) -> Remote:
    """Return the remote that DVC uses unless another is named; a folder's address is made absolute.

    Raises:
        UserError: there is none.
    """
    name, section = dvc.default_remote(root)
    if not section.get("url"):
        raise UserError("no default remote is set", "mainline remote URL")
    if "://" not in section["url"]:
        section["url"] = str((root / ".dvc" / section["url"]).resolve())
    return Remote(name, section)


def lacking(remote: Remote, outputs: Iterable[Output], cache: Path, root: Path = Path()) -> dict[str, str]:
    """Return the objects behind ``outputs`` that ``remote`` does not hold: their paths, keyed by object id.

    ``cache`` helps with the lists of folders; a list that it lacks is fetched into it. Where a list is in the remote,
    its files are taken for there, as DVC does, which pushes the list last; ``mainline remote --verify`` reads them all.

    Raises:
        Silent: the remote does not answer, or refuses.
        UserError: it took too long.
    """
    unique = list({output.oid: output for output in outputs}.values())
    with dvc.scratch(root, remote.name, remote.section, unique) as trial:
        settings = ConfigObj(str(trial.root / ".dvc" / "config.local"), encoding="utf-8")
        settings["cache"] = {"dir": str(cache)}
        settings.write()
        done = dvc.run(["status", "--cloud", "--remote", remote.name, "--json"], trial.root, SECONDS, remote.url)
    try:
        states: dict[str, str] = json.loads(done.stdout)
    except ValueError:
        states = {}
    if done.returncode != 0:
        cause, fix = dvc.cause(done.stderr) or ("", "mainline remote --verify")
        raise Silent(f"the remote {shown(remote.url)} does not answer: {dvc.said(done.stderr)}", fix, cause)
    gone = {path for path, state in states.items() if state in ("new", "missing")}
    found = {}
    for number, output in enumerate(unique):
        # Of a list that is neither here nor there DVC only warns.
        unlisted = output.oid.endswith(".dir") and not intact(cache, output.oid)
        for oid, path in expand([output], cache).items():
            # DVC names an object once, whatever the number of its paths.
            if unlisted or f"object-{number}{path.removeprefix(output.path)}" in gone:
                found[oid] = path
        if unlisted:
            reach(remote, output, cache, root)
    return found


def reach(remote: Remote, output: Output, cache: Path, root: Path = Path()) -> None:
    """Ask ``remote`` for one object. Of a folder's list that storage refuses to give, DVC only warns as well.

    Raises:
        Silent: the remote does not answer, or refuses.
        UserError: it took too long.
    """
    oid = output.oid.removesuffix(".dir")
    lacking(remote, [Output(output.path, oid, output.source, {"md5": oid, "hash": "md5"})], cache, root)
