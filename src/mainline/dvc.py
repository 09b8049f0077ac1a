"""DVC by its command line, with a bound on time, and a throw-away DVC repository beside the real one.

The throw-away repository lets a remote be tried, filled and read back while the real configuration stays as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from configobj import ConfigObj, ConfigObjError

from mainline import child, keys
from mainline.errors import UserError
from mainline.objects import Output

# What storage says, and what the user can do about it; the first that fits is taken.
CAUSES = (
    (
        r"NoSuchBucket|bucket does not exist|ContainerNotFound|The specified container|No such bucket",
        "the bucket does not exist",
        "create it, or mend the URL",
    ),
    (
        r"Unable to locate credentials|NoCredentials|DefaultCredentialsError|no credentials|Anonymous caller"
        r"|Authentication to Azure Blob Storage requires",
        "no key was found",
        "set the key as environment variables (S3: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY), "
        "or in .dvc/config.local with `dvc remote modify --local`; in GitHub Actions as secrets of these names",
    ),
    (
        r"\(40[13]\)|Forbidden|AccessDenied|Access Denied|InvalidAccessKeyId|SignatureDoesNotMatch|AuthenticationFailed"
        r"|Permission denied|PermissionDenied|Authorization(Permission)?(Failure|Mismatch)|not authorized to perform"
        r"|The request signature|does not have storage\.",
        "the key was refused",
        "check the key (environment variables, .dvc/config.local) and that it may list, read and write there",
    ),
    (
        r"Could not connect|ConnectTimeout|EndpointConnection|Connect call failed|Connection refused|timed out"
        r"|getaddrinfo|Name or service not known|Cannot connect|Connection reset",
        "the host does not answer",
        "check the URL, --endpoint-url and the network",
    ),
)


@dataclass(frozen=True)
class Scratch:
    """A throw-away repository that knows one remote and names ``outputs``; its cache is empty."""

    root: Path
    remote: str
    url: str

    @property
    def cache(self) -> Path:
        """The folder that :meth:`fetch` fills."""
        return self.root / "cache"

    def push(self, cache: Path, seconds: float) -> None:
        """Copy every object from ``cache`` to the remote.

        Raises:
            UserError: storage refused, is not there, or took longer than ``seconds``.
        """
        self._run("push", cache, seconds)

    def fetch(self, seconds: float) -> str:
        """Copy what can be had from the remote to :attr:`cache`; return what DVC said of objects that it could not get.

        Raises:
            UserError: as :meth:`push`.
        """
        try:
            self._run("fetch", self.cache, seconds)
        except UserError as error:
            if error.fix:
                raise
            return error.problem
        return ""

    def _run(self, verb: str, cache: Path, seconds: float) -> None:
        local = self.root / ".dvc" / "config.local"
        config = ConfigObj(str(local), encoding="utf-8")
        config["cache"] = {"dir": str(cache)}
        config.write()
        done = run([verb, "--remote", self.remote], self.root, seconds, self.url)
        if done.returncode == 0:
            return
        if found := cause(done.stderr):
            raise UserError(f"{self.url}: {found[0]} ({said(done.stderr)})", found[1])
        if verb == "push":
            raise UserError(
                f"{self.url}: {said(done.stderr)}", "check the URL; the same command goes on where it stopped"
            )
        raise UserError(f"{self.url}: {said(done.stderr)}")


@contextmanager
def scratch(root: Path, remote: str, section: Mapping[str, Any], outputs: Sequence[Output]) -> Iterator[Scratch]:
    """Yield a :class:`Scratch` below ``root/.dvc/tmp`` (the disk that has room for data); it is gone afterwards.

    ``section`` are the remote's settings; those of the same name in ``.dvc/config.local`` (keys) count as well.
    """
    below = root / ".dvc" / "tmp"
    below.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="remote-", dir=below)).resolve()
    try:
        inner = folder / ".dvc"
        inner.mkdir()
        patience = {"connect_timeout": "10", "read_timeout": "60"} if str(section["url"]).startswith("s3:") else {}
        config = ConfigObj(encoding="utf-8")
        config["core"] = {"no_scm": "true", "analytics": "false", "check_update": "false"}
        config[heading(remote)] = {**patience, **section, "verify": "false"}
        config.filename = str(inner / "config")
        config.write()
        secrets = ConfigObj(str(root / ".dvc" / "config.local"), encoding="utf-8")
        local = ConfigObj({heading(remote): secrets.get(heading(remote), {})}, encoding="utf-8")
        local.filename = str(inner / "config.local")
        local.write()
        (inner / "config.local").chmod(0o600)
        for number, output in enumerate(outputs):
            named = {"outs": [{**output.entry, "path": f"object-{number}"}]}
            (folder / f"object-{number}.dvc").write_text(yaml.safe_dump(named), encoding="utf-8")
        yield Scratch(folder, remote, str(section["url"]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def heading(remote: str) -> str:
    """Return the name of the remote's section in DVC's configuration."""
    return f'remote "{remote}"'


def run(arguments: Sequence[str], root: Path, seconds: float, about: str = "dvc") -> subprocess.CompletedProcess[str]:
    """Run ``dvc`` in ``root`` and return what it said; a failure is for the caller to judge. Only ``push`` may write.

    Raises:
        UserError: it took longer than ``seconds``.
    """
    environment = {
        "AWS_MAX_ATTEMPTS": "2",
        **keys.environment_of(os.environ, push=arguments[0] == "push"),
        "PATH": child.search_path(),
        "DVC_NO_ANALYTICS": "1",
        # DVC remembers elsewhere what a remote held last time; here only what it holds now may count.
        "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site"),
    }
    try:
        return child.run([sys.executable, "-m", "dvc", *arguments], root, seconds=seconds, environment=environment)
    except subprocess.TimeoutExpired as error:
        raise UserError(
            f"{about}: no end after {seconds:.0f} seconds",
            "check the network; the same command goes on where it stopped",
        ) from error


def cause(text: str) -> tuple[str, str] | None:
    """Return what storage means by an error that DVC printed, and what the user can do; None if it is not known."""
    return next(((problem, fix) for pattern, problem, fix in CAUSES if re.search(pattern, text)), None)


def said(text: str) -> str:
    """Return DVC's own errors, short, without its farewell."""
    errors = [line.removeprefix("ERROR: ") for line in text.splitlines() if line.startswith("ERROR")]
    words = " / ".join(errors or text.strip().splitlines()[-1:]) or "DVC gave no reason"
    return re.sub(r"\s+", " ", words.replace("unexpected error - ", ""))[:300]


def cache_folder(root: Path = Path()) -> Path:
    """Return the folder in which DVC keeps its objects.

    Raises:
        UserError: DVC's configuration is broken.
    """
    done = run(["cache", "dir"], root, 60)
    if done.returncode != 0:
        raise UserError(f".dvc/config: {said(done.stderr)}", "git restore .dvc/config")
    return Path(root, done.stdout.strip()).resolve()


def default_remote(root: Path = Path(), *, local: bool = True) -> tuple[str, dict[str, Any]]:
    """Return name and settings of the default remote; the name is empty without one.

    ``local``: whether ``config.local``, which is not committed, is counted in.

    Raises:
        UserError: DVC's configuration cannot be read.
    """
    files = [root / ".dvc" / name for name in ("config", "config.local")]
    try:
        settings, own = (ConfigObj(str(file), encoding="utf-8") for file in files)
    except (ConfigObjError, UnicodeError) as error:
        # Not the error's own words: they quote the line, which may hold a key.
        raise UserError(
            ".dvc/config or .dvc/config.local: cannot be read", "correct it: `dvc config --list` names the line"
        ) from error
    own = own if local else ConfigObj()
    name = str(own.get("core", {}).get("remote") or settings.get("core", {}).get("remote") or "")
    return name, {**settings.get(heading(name), {}), **own.get(heading(name), {})}
