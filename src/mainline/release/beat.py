"""The sign of life of a machine that follows branch ``deploy``: a reference of its own, so that the ledger stays short.

It is one commit without a parent, replaced each time. Who reads it counts from when it last saw another one, by a clock
of its own: the two machines' clocks need not agree.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, ClassVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from mainline.errors import UserError
from mainline.release.begin import said
from mainline.release.ledger import Deploy
from mainline.release.state import STRICT

FILE = "beat.json"
SECONDS = 60.0  # between two signs of life when nothing changes


@dataclass(frozen=True)
class Beat:
    """What is live on the machine.

    Attributes:
        stable, candidate: the releases behind its proxy; None when it serves nothing, or tries nothing.
        weight: per cent of the users whom the candidate answers.
        revision: of the state in git that is live; None when nothing is.
        trouble: why it cannot do what git says; empty when it can.
        name: of the commit that holds this; it changes with each sign of life.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    stable: str | None = None
    candidate: str | None = None
    weight: int = 0
    revision: int | None = None
    trouble: str = ""
    name: str = ""


def place(environment: str) -> str:
    """Return the reference of an environment's machine."""
    return f"refs/mainline/beat/{environment}"


def put(deploy: Deploy, environment: str, beat: Beat, when: datetime) -> None:
    """Replace the machine's sign of life on the remote; nothing without a remote.

    Raises:
        UserError: the remote does not answer, or refuses.
    """
    if not deploy.remote:
        return
    repo = deploy.repo
    content = {**asdict(beat), "time": when.isoformat(timespec="milliseconds")}
    del content["name"]
    with repo.guarded(), said(repo):
        made = repo.write_commit("Beat\n", {FILE: json.dumps(content) + "\n"}, "", when)
        repo.git("push", "--quiet", "origin", f"+{made}:{place(environment)}")


def get(deploy: Deploy, environment: str) -> Beat | None:
    """Return the machine's last sign of life; None when there was none yet, or it cannot be read.

    Raises:
        UserError: the remote does not answer.
    """
    repo, ref = deploy.repo, place(environment)
    with repo.guarded(), said(repo):
        listed = repo.git("ls-remote", "origin", ref).split()
        if not listed:
            return None
        if repo.resolve(ref) != listed[0]:
            repo.git("fetch", "--quiet", "--no-tags", "origin", f"+{ref}:{ref}")
    text, name = repo.read(FILE, ref), repo.resolve(ref)
    try:
        content: dict[str, Any] = json.loads(text or "")
        content.pop("time", None)
        return TypeAdapter(Beat).validate_json(json.dumps({**content, "name": name}))
    except (ValueError, ValidationError, AttributeError):
        return None


@dataclass
class Sign:
    """Gives the sign of life of an environment: at each change, and every minute.

    Attributes:
        unheard: why the remote has not taken the last one; empty when it has.
    """

    deploy: Deploy
    environment: str
    unheard: str = field(default="", init=False)
    last: Beat | None = field(default=None, init=False)
    at: float = field(default=0.0, init=False)

    def give(self, made: Beat) -> None:
        """Tell the remote ``made``, if that is new or it is time; it is tried again when nobody heard it."""
        if made == self.last and not self.unheard and time.monotonic() - self.at < SECONDS:
            return
        try:
            put(self.deploy, self.environment, made, self.deploy.clock())
            self.last, self.at, self.unheard = made, time.monotonic(), ""
        except UserError as error:
            self.unheard = error.problem
