"""Moving the data to storage of your own: filled, read back and compared first, switched last."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from configobj import ConfigObj

from mainline import dvc
from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.objects import (
    EMBEDDED,
    Output,
    bring,
    data_outputs,
    expand,
    intact,
    model_outputs,
    place,
    stage_outputs,
)
from mainline.plugins import PLUGINS, ensure_plugin

ACCEPTED = "s3://bucket/path, gs://bucket/path, azure://container/path, ssh://user@host/path, or an existing folder"
DAY = 86_400.0


def move(
    url: str, *, endpoint_url: str | None = None, name: str = "storage", root: Path = Path(), seconds: float = DAY
) -> list[str]:
    """Make ``url`` the default DVC remote, with every object in it; return what was done, as sentences.

    The objects are pushed, read back into an empty folder and compared with the MD5 they are named by; only then
    is ``.dvc/config`` changed. Keys come from the environment or ``.dvc/config.local`` and are written nowhere.

    Args:
        endpoint_url: address of an S3-compatible server; null for Amazon's own.
        name: what the remote is called in ``.dvc/config``.
        seconds: bound on each of fetch, push and read-back.

    Raises:
        UserError: the URL is not accepted, storage refuses or is not there, or an object does not come back whole;
            ``.dvc/config``, ``pyproject.toml`` and ``requirements.lock`` are as they were.
    """
    root = root.resolve()
    section, scheme = _section(url, endpoint_url, root)
    if name == "embedded":
        raise UserError("the name embedded belongs to the remote inside the repository", "choose another name")
    config = root / ".dvc" / "config"
    if "remote" in ConfigObj(str(root / ".dvc" / "config.local"), encoding="utf-8").get("core", {}):
        raise UserError(
            ".dvc/config.local: core.remote hides the default remote that is committed",
            "dvc config --local --unset core.remote",
        )
    with _all_or_nothing(config, root / "pyproject.toml", root / "requirements.lock"):
        steps = ensure_plugin(root, scheme, seconds) if scheme else []
        cache = dvc.cache_folder(root)
        outputs, left = _local(root, cache, seconds)
        with dvc.scratch(root, name, section, outputs) as trial:
            trial.push(cache, seconds)
            count = _read_back(trial, outputs, cache, seconds)
        steps.append(f"{count} objects are in {url}, read back and compared")
        if left:
            steps.append(f"not in the cache, so not pushed: {', '.join(left)} (`dvc repro`, then `dvc push`)")
        if not scheme and not Path(url).expanduser().is_absolute():
            section["url"] = os.path.relpath(section["url"], config.parent)
        if _switch(config, name, section):
            steps.append(f".dvc/config: {name} is the default remote now; commit it, with the other changed files")
        else:
            steps.append(f".dvc/config: {name} was the default remote already")
    return steps


def verify(*, root: Path = Path(), seconds: float = DAY) -> list[str]:
    """Read every object back from the default remote, compare it with its MD5, and return what was found, as sentences.

    Raises:
        UserError: there is no default remote, it cannot be read, or an object in it is missing or damaged.
    """
    root = root.resolve()
    name, section = dvc.default_remote(root)
    if not name or "url" not in section:
        raise UserError(".dvc/config: no default remote", "mainline remote URL")
    if "://" not in section["url"]:
        section["url"] = os.path.normpath(root / ".dvc" / section["url"])
    stages = _embedded_outputs(root) if is_embedded(root) else stage_outputs(root)
    outputs, cache = [*data_outputs(root), *stages], dvc.cache_folder(root)
    with dvc.scratch(root, name, section, outputs) as trial:
        count = _read_back(trial, outputs, cache, seconds)
    return [f"{count} objects in {name} were read back and fit their names"]


def is_embedded(root: Path = Path()) -> bool:
    """Return whether the default remote is the one inside the repository, which keeps no rows that were made."""
    url = dvc.default_remote(root, local=False)[1].get("url")
    return url is not None and "://" not in url and (root / ".dvc" / url).resolve() == (root / EMBEDDED).resolve()


def _embedded_outputs(root: Path) -> list[Output]:
    """Return the outputs whose object is in the remote inside the repository."""
    return [output for output in model_outputs(root) if place(root / EMBEDDED, output.oid).is_file()]


def _section(url: str, endpoint_url: str | None, root: Path) -> tuple[dict[str, Any], str]:
    """Return the remote's settings and its scheme, which is empty for a folder."""
    for address in filter(None, (url, endpoint_url)):
        if re.search(r"://[^/@]*:[^/@]*@|[?#]", address):
            shown = re.sub(r"://[^/@]*@", "://…@", address).split("?")[0].split("#")[0]
            raise UserError(
                f"{shown}: holds a password, a query or a fragment, and would be committed with it",
                "give the bare URL; keys belong in environment variables or .dvc/config.local",
            )
    scheme, found, rest = url.partition("://")
    if found and scheme != "file":
        if scheme not in PLUGINS or not rest.strip("/"):
            raise UserError(f"{url}: no storage that can be used", f"one of: {ACCEPTED}")
        if endpoint_url and scheme != "s3":
            raise UserError(f"--endpoint-url {endpoint_url}: means nothing to {scheme}://", "leave it out")
        return {"url": url, **({"endpointurl": endpoint_url} if endpoint_url else {})}, scheme
    if endpoint_url:
        raise UserError(f"--endpoint-url {endpoint_url}: means nothing to a folder", "leave it out")
    folder = Path(rest if found else url).expanduser().resolve()
    if not url or not folder.is_dir():
        raise UserError(
            f"{url!r}: no such folder, and no other storage either", f"make the folder, or one of: {ACCEPTED}"
        )
    if folder.is_relative_to(root):
        raise UserError(f"{url}: lies inside the repository", "choose a folder outside")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{url}: this user may not write there", "change its permissions, or choose another folder")
    return {"url": str(folder)}, ""


def _local(root: Path, cache: Path, seconds: float) -> tuple[list[Output], list[str]]:
    """Return the outputs that ``cache`` holds whole, missing data fetched first, and the paths of those it lacks."""
    data = data_outputs(root)
    if any(not place(cache, oid).is_file() for oid in expand(data, cache)):
        done = dvc.run(["fetch", *sorted({output.source for output in data})], root, seconds)
        if done.returncode != 0:
            raise UserError(
                f"the data could not be fetched from the present remote: {dvc.said(done.stderr)}",
                "mend the present remote first (`mainline remote --verify`)",
            )
    _judge(expand(data, cache), cache, "the local cache", "remove .dvc/cache (it is filled again), then `make data`")
    stages = stage_outputs(root)
    bring(_embedded_outputs(root), root / EMBEDDED, cache)
    whole = [output for output in stages if all(intact(cache, oid) for oid in expand([output], cache))]
    return [*data, *whole], [output.path for output in stages if output not in whole]


def _read_back(trial: dvc.Scratch, outputs: Sequence[Output], cache: Path, seconds: float) -> int:
    """Return how many objects came back from the remote, all whole; ``cache`` helps to name those that did not."""
    trouble = trial.fetch(seconds)
    wanted = expand(outputs, trial.cache, cache)
    fix = "remove what is damaged there; push what is missing (`make run`, then `dvc push`)"
    _judge(wanted, trial.cache, trial.url, fix)
    if trouble:
        raise UserError(trouble, "run the same command again")
    return len(wanted)


def _judge(wanted: dict[str, str], folder: Path, where: str, fix: str) -> None:
    bad = {oid: path for oid, path in wanted.items() if not intact(folder, oid)}
    gone = {oid: path for oid, path in bad.items() if not place(folder, oid).exists()}
    # DVC brings no list of a folder without all its files, and no files without the list: one of the two is to blame.
    for listing, path in [item for item in gone.items() if item[0].endswith(".dir")]:
        inside = {oid for oid, other in wanted.items() if other.startswith(path + "/")}
        blameless = inside if inside <= gone.keys() else {listing} if inside & bad.keys() else set()
        bad = {oid: other for oid, other in bad.items() if oid not in blameless}
    blamed = [f"{path} ({oid}) is {'missing' if oid in gone else 'damaged'}" for oid, path in bad.items()]
    if blamed:
        more = f" and {len(blamed) - 3} more" if len(blamed) > 3 else ""
        raise UserError(f"{where}: {', '.join(blamed[:3])}{more}", fix)


def _switch(config: Path, name: str, section: dict[str, Any]) -> bool:
    """Write the remote into ``config`` as the default, in one step; return whether that changed anything."""
    settings = ConfigObj(str(config), encoding="utf-8", indent_type="    ")
    before = settings.dict()
    settings.setdefault("core", {})["remote"] = name
    settings[dvc.heading(name)] = {**section, "verify": "true"}
    if settings.dict() == before:
        return False
    settings.filename = None
    lines = settings.write() or []
    write_atomic(config, "\n".join(line.decode() if isinstance(line, bytes) else line for line in lines) + "\n")
    return True


@contextmanager
def _all_or_nothing(*files: Path) -> Iterator[None]:
    """Put ``files`` back as they were when anything goes wrong inside, and say so."""
    before = {file: file.read_bytes() for file in files}
    try:
        yield
    except BaseException as error:
        for file, content in before.items():
            if file.read_bytes() != content:
                write_atomic(file, content)
        if isinstance(error, UserError):
            kept = "the remote, pyproject.toml and requirements.lock are as they were"
            raise UserError(f"{error.problem}\n  nothing was switched: {kept}", error.fix) from error
        raise
