"""One Bento from one commit: BentoML builds it from what git and ``dvc.lock`` name, the same bytes every time."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mainline.compare.git import git
from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.objects import stage_outputs

FILE = "bentofile.yaml"
EXTRAS = "release"  # folder of the Bento that says which release it is
SECONDS = 600.0
LEFT_OUT = (".dvc", ".github", "tests", "docs", "scripts", "*.dvc")
INDEX = re.compile(r"^.*(?:--(?:extra-)?index-url|--find-links|://).*$", re.MULTILINE)


def bentofile(root: Path, name: str, release: str) -> dict[str, Any]:
    """Return the settings of the Bento: the repository's own, with name, release id and the folder ``release`` put in.

    Raises:
        UserError: the file is no YAML, or would let BentoML resolve packages anew or write an index address down.
    """
    try:
        content = yaml.safe_load((root / FILE).read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{FILE}: is not valid YAML: {error}", f"git checkout -- {FILE}") from error
    if not isinstance(content, dict) or not content.get("service"):
        raise UserError(f"{FILE}: service: is missing", "name the service as module:Class")
    python = content.get("python") or {}
    if python.get("lock_packages") is not False:
        raise UserError(f"{FILE}: python.lock_packages: is not false", "set it to false: requirements.lock has hashes")
    named = [key for key in ("index_url", "extra_index_url", "find_links", "packages") if python.get(key)]
    if named:
        raise UserError(f"{FILE}: python.{named[0]}: is set", "take it out: requirements.lock names every package")
    kept = [item for item in content.get("envs") or [] if item.get("name") != "MAINLINE_RELEASE"]
    made = {**content, "name": name, "envs": [*kept, {"name": "MAINLINE_RELEASE", "value": release}]}
    if content.get("include"):
        made["include"] = [*content["include"], f"{EXTRAS}/*"]
    return made


def context(root: Path, folder: Path, settings: Mapping[str, Any], extras: Mapping[str, str]) -> None:
    """Fill ``folder`` with the files of the commit, the outputs that ``dvc.lock`` names, and ``extras``.

    Nothing else of the work tree gets in: no file that git ignores, no compiled Python.
    """
    command = ["git", "archive", "--format=tar", "HEAD", "--", ".", *(f":(exclude){name}" for name in LEFT_OUT)]
    done = subprocess.run(command, cwd=root, capture_output=True, timeout=SECONDS, check=False)
    if done.returncode != 0:
        raise UserError(f"git archive: {done.stderr.decode('utf-8', 'replace').strip()}", "git fsck says what is wrong")
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")
    for output in stage_outputs(root):
        source = root / output.path
        for file in [source] if source.is_file() else sorted(path for path in source.rglob("*") if path.is_file()):
            target = folder / file.relative_to(root)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    write_atomic(folder / FILE, yaml.safe_dump(dict(settings), sort_keys=False))
    for name, text in extras.items():
        write_atomic(folder / EXTRAS / name, text)
    write_atomic(folder / "README.md", extras["card.md"])


def build(
    root: Path, work: Path, settings: Mapping[str, Any], version: str, created: str, extras: Mapping[str, str]
) -> Path:
    """Return the folder of the Bento, below ``work``; the network is not used, nor anything in the home folder.

    Args:
        root: the top of the repository.
        work: an empty folder.
        settings: see :func:`bentofile`.
        version: the Bento's.
        created: ISO time that stands in the Bento as the time of its making.
        extras: text files for the folder ``release`` in the Bento, by name; card.md is its README as well.

    Raises:
        UserError: BentoML cannot build it, or it lacks what it must hold.
    """
    where, home = work.resolve() / "context", work.resolve() / "home"
    where.mkdir()
    context(root, where, settings, extras)
    arguments = ["--bentofile", FILE, "--version", version, "--output", "tag"]
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}",
        "PYTHONPATH": str(where / "src"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "DO_NOT_TRACK": "true",
        "OTEL_SDK_DISABLED": "true",
    }
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bentoml", "build", *arguments], cwd=where, env=environment, timeout=SECONDS,
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise UserError(f"bentoml build: no end after {SECONDS:.0f} seconds", "run the command again") from error
    made = home / "bentos" / str(settings["name"]) / version
    if done.returncode != 0 or not (made / "bento.yaml").is_file():
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        raise UserError(
            f"bentoml build: {' / '.join(lines[-3:])[-400:] or 'gave no reason'}", f"mend {FILE} or the service"
        )
    _settle(made, created)
    return made


def _settle(made: Path, created: str) -> None:
    """Take the time of the build out of the Bento, and make sure that nothing in it depends on this machine.

    Raises:
        UserError: it lists an index address, or does not hold the model.
    """
    info = made / "bento.yaml"
    text, changed = re.subn(r"(?m)^creation_time: .*$", f"creation_time: '{created}'", info.read_text(encoding="utf-8"))
    if changed != 1:
        raise UserError("bento.yaml: holds no creation_time", "is BentoML the locked version?")
    write_atomic(info, text)
    requirements = made / "env" / "python" / "requirements.txt"
    address = INDEX.search(requirements.read_text(encoding="utf-8")) if requirements.is_file() else None
    if address:
        raise UserError(f"the Bento lists an address: {address[0].strip()[:60]}", "`make lock` writes none")
    (made.parent / "latest").unlink(missing_ok=True)


def held(bento: Path, path: Path) -> Path | None:
    """Return the file or folder of the Bento that was ``path`` in the repository, None if it is not in there."""
    found = bento / "src" / path
    return found if found.exists() else None


def container_command(bento: Path, tag: str, path: str | None = None) -> list[str]:
    """Return the command that makes an image of the Bento.

    Raises:
        UserError: neither Docker nor Podman is on ``path`` (default: PATH).
    """
    engine = shutil.which("docker", path=path) or shutil.which("podman", path=path)
    if engine is None:
        raise UserError(
            "no container engine: neither docker nor podman is on PATH",
            "install one, or let the release workflow build the image",
        )
    return [engine, "build", "--file", str(bento / "env" / "docker" / "Dockerfile"), "--tag", tag, str(bento)]


def commit_date(commit: str, root: Path) -> str:
    """Return the commit's own date as ISO 8601 in UTC, an empty text if the commit is not here."""
    import datetime as dt

    found = git("show", "--no-patch", "--format=%cI", commit, root=root, check=False).strip()
    if not found:
        return ""
    return dt.datetime.fromisoformat(found).astimezone(dt.UTC).isoformat(timespec="seconds")
