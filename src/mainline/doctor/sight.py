"""What the checks look through: settings, git, GitHub, and the ledger that counts. Nothing here is ever written to."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from mainline import child
from mainline.ci.ledger import HELPER
from mainline.config import Settings, load_settings
from mainline.doctor.found import NotInPlan, NotSeen
from mainline.doctor.hub import Hub, reach, repository_of
from mainline.errors import UserError
from mainline.release.ledger import FOLDER, Deploy
from mainline.release.repo import REF, Repo

LOCAL_SECONDS, REMOTE_SECONDS = 60.0, 10.0
T = TypeVar("T")


@dataclass(frozen=True)
class Ledger:
    """Branch ``deploy`` as far as it can be seen.

    Attributes:
        deploy: None: there is none.
        doubt: why another one may count; empty when this is the one.
    """

    deploy: Deploy | None
    doubt: str = ""


@dataclass(frozen=True)
class Sight:
    """One look at the repository in ``root``; ``work`` is an empty folder that is gone afterwards."""

    root: Path
    environment: Mapping[str, str]
    offline: bool
    work: Path
    now: datetime

    @cached_property
    def settings(self) -> Settings:
        """The settings.

        Raises:
            NotSeen: params.yaml cannot be read.
        """
        try:
            return load_settings(self.root / "params.yaml")
        except UserError as error:
            raise NotSeen("not checked: params.yaml cannot be read") from error

    @cached_property
    def origin(self) -> str:
        """The address of git's remote ``origin``, as it is written, with its password if it has one; empty: none."""
        return self.git("config", "--get", "remote.origin.url")

    @cached_property
    def hub(self) -> Hub:
        """The repository on GitHub."""
        return reach(self.environment, self.origin, offline=self.offline)

    @cached_property
    def online(self) -> bool | None:
        """Whether this machine has a network: GitHub answers; None: nobody was asked."""
        if self.offline:
            return False
        try:
            self.hub.entries("actions/workflows", "workflows")
        except NotSeen:
            return None if self.hub.server is None else self.hub.refused or not self.hub.silent
        return True

    @property
    def facts(self) -> dict[str, Any]:
        """What GitHub says of the repository: visibility, default branch, whether issues are on.

        Raises:
            NotSeen: it cannot be asked, or does not say.
        """
        found = self.hub.ask("")
        if not isinstance(found, dict):
            raise NotSeen("not checked: GitHub's answer about the repository cannot be read")
        return found

    @cached_property
    def default_branch(self) -> str:
        """The default branch: GitHub's word, else what the clone remembers of origin, else main."""
        try:
            name = str(self.facts.get("default_branch") or "")
        except NotSeen:
            name = ""
        known = self.git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD")
        return name or known.removeprefix("origin/") or "main"

    @cached_property
    def required(self) -> bool:
        """Whether settings on GitHub are required: there is a repository on it, and its plan has rules to set."""
        if not self.environment.get("GITHUB_REPOSITORY") and not repository_of(self.origin, self.environment):
            return False
        try:
            self.rules(self.default_branch)
        except NotInPlan:
            return False
        except NotSeen:
            pass
        return True

    def rules(self, branch: str) -> list[dict[str, Any]]:
        """Return the rules that are in force for a branch, the organisation's included.

        Raises:
            NotInPlan: the plan has none for this repository.
            NotSeen: they cannot be asked for.
        """
        return self.hub.entries(f"rules/branches/{quote(branch, safe='')}")

    @cached_property
    def asked(self) -> Callable[[], str]:
        """Gives the commit of the origin's branch ``deploy``, an empty text if it has none.

        Raises:
            NotSeen: offline.
            UserError: the origin does not answer.
        """
        return _once(self._ask)

    @cached_property
    def ledger(self) -> Callable[[], Ledger]:
        """Gives the origin's branch ``deploy``; without one, the ledger of this machine.

        Raises:
            NotSeen: it cannot be fetched, and there is none here.
        """
        return _once(self._find)

    def _ask(self) -> str:
        if not is_here(self.origin) and self.online is False:
            raise NotSeen("not checked: offline")
        try:
            listed = self.run("ls-remote", "origin", REF, folder=self.work, seconds=REMOTE_SECONDS, lent=True)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"no answer within {REMOTE_SECONDS:g} seconds", "check the network: git fetch") from error
        if listed.returncode != 0:
            said = " ".join(listed.stderr.split())[-200:]
            raise UserError(f"no answer: {said}", "check address, network and key: git fetch origin")
        return listed.stdout.split()[0] if listed.stdout.strip() else ""

    def _find(self) -> Ledger:
        here = Deploy(Repo((self.root / FOLDER).resolve()), None)
        local = here if (here.repo.folder / ".git").is_dir() and here.head() else None
        if not self.origin:
            return Ledger(local)
        try:
            if not self.asked():
                return Ledger(local)
        except (NotSeen, UserError) as error:
            doubt = f"branch deploy of origin: {error.problem if isinstance(error, UserError) else error}"
            if local is None:
                raise NotSeen(doubt) from error
            return Ledger(local, doubt)
        fetched = Repo(self.work / "deploy")
        self.run("init", "--quiet", str(fetched.folder), folder=self.work)
        wanted = ("--quiet", "--no-tags", "--depth=1", "origin", f"+{REF}:{REF}")
        try:
            done = self.run("fetch", *wanted, folder=fetched.folder, seconds=3 * REMOTE_SECONDS, lent=True)
        except subprocess.TimeoutExpired as error:
            raise NotSeen("branch deploy of origin: not fetched in time") from error
        if done.returncode != 0:
            raise NotSeen(f"branch deploy of origin: not fetched ({' '.join(done.stderr.split())[-200:]})")
        return Ledger(Deploy(fetched, None))

    def git(self, *arguments: str) -> str:
        """Return what git says in ``root``, an empty text when it fails or is not there."""
        try:
            done = self.run(*arguments, folder=self.root)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return done.stdout.strip() if done.returncode == 0 else ""

    def run(
        self, *arguments: str, folder: Path, seconds: float = LOCAL_SECONDS, lent: bool = False
    ) -> subprocess.CompletedProcess[str]:
        """Run git in ``folder``; with ``lent`` it knows the address of ``origin``, and the token if there is one.

        The address may hold a key, so it stands on no command line.

        Raises:
            subprocess.TimeoutExpired: it took longer than ``seconds``.
        """
        extra = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        extra["GIT_SSH_COMMAND"] = self.environment.get("GIT_SSH_COMMAND") or "ssh -oBatchMode=yes -oConnectTimeout=5"
        if lent:
            extra |= self._lent()
        return child.run(["git", "--no-optional-locks", *arguments], folder, seconds=seconds,
                         environment={**os.environ, **extra})  # fmt: skip

    def _lent(self) -> dict[str, str]:
        address = str(Path(self.root, self.origin).resolve()) if is_path(self.origin) else self.origin
        pairs = [("remote.origin.url", address)]
        if self.environment.get("GITHUB_TOKEN"):
            server = (self.environment.get("GITHUB_SERVER_URL") or "https://github.com").rstrip("/")
            pairs.append((f"credential.{server}.helper", HELPER))
        lent = {"GIT_CONFIG_COUNT": str(len(pairs))}
        for number, (key, value) in enumerate(pairs):
            lent |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        return lent


def _once(do: Callable[[], T]) -> Callable[[], T]:
    """Return a function that gives what ``do`` gave, or raises what it raised, without doing it again."""
    try:
        value = do()
    except (NotSeen, UserError) as error:
        kept = error

        def fail() -> T:
            raise kept

        return fail
    return lambda: value


def is_path(address: str) -> bool:
    """Return whether a git address is a path of this machine."""
    return "://" not in address and ":" not in address.split("/")[0]


def is_here(address: str) -> bool:
    """Return whether asking ``address`` needs no network."""
    return is_path(address) or address.startswith("file://")


@contextmanager
def sight(
    root: Path = Path(),
    environment: Mapping[str, str] = os.environ,
    *,
    offline: bool = False,
    now: datetime | None = None,
) -> Iterator[Sight]:
    """Yield a look at the repository in ``root``."""
    with tempfile.TemporaryDirectory(prefix="mainline-doctor-") as work:
        yield Sight(root.resolve(), environment, offline, Path(work).resolve(), now or datetime.now(UTC))
