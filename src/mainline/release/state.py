"""What branch ``deploy`` holds: the state of an environment, and a release's entry in the ledger."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import ConfigDict, TypeAdapter, ValidationError

from mainline.errors import UserError

Environment = Literal["production", "staging"]
Phase = Literal["shadow", "canary", "ab", "promoting"]
Event = Literal["built", "staged", "approved", "shadow", "step", "hold", "promote", "abort", "rollback"]
ENVIRONMENTS: tuple[Environment, ...] = ("production", "staging")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
STRICT = ConfigDict(extra="forbid", strict=True)

T = TypeVar("T")


@dataclass(frozen=True)
class State:
    """What runs in one environment.

    Attributes:
        stable: the release that serves; None before the first promotion.
        candidate: the release that is being tried; None when nothing is.
        phase: how far the try is; None without a candidate, or before it begins.
        weight: per cent of the users that the candidate answers.
        step: index into the steps of ``plan``.
        started: when the phase or step began, ISO 8601 in UTC.
        previous: earlier stable releases, newest first.
        revision: counts the commits that changed this environment; :meth:`Deploy.commit` sets it.
    """

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    environment: Environment
    stable: str | None = None
    candidate: str | None = None
    phase: Phase | None = None
    weight: int = 0
    step: int = 0
    plan: dict[str, Any] | None = None
    started: str | None = None
    previous: tuple[str, ...] = ()
    revision: int = 0

    def faults(self) -> list[tuple[str, str]]:
        """Return what contradicts itself, as pairs of key and sentence; empty when all is well."""
        releases = {"stable": self.stable, "candidate": self.candidate}
        named = [*releases.items(), *((f"previous.{number}", name) for number, name in enumerate(self.previous))]
        found = [(key, f"{name!r} is no release id") for key, name in named if name and not NAME.fullmatch(name)]
        if not 0 <= self.weight <= 100:
            found.append(("weight", f"{self.weight} is not between 0 and 100"))
        if self.started is not None and not _is_moment(self.started):
            found.append(("started", f"{self.started!r} is no time with its zone, such as 2026-11-21T08:30:00Z"))
        if self.candidate is None:
            found += [(key, f"{value!r} without a candidate") for key, value in
                      (("phase", self.phase), ("weight", self.weight)) if value]  # fmt: skip
        elif self.candidate == self.stable:
            found.append(("candidate", f"{self.candidate} is the stable release already"))
        return found


@dataclass(frozen=True)
class Transition:
    """One thing that happened to a release; ``time`` is set by the ledger's clock when it is None."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    release: str
    environment: Environment
    event: Event
    by: str
    why: str
    weight: int | None = None
    evidence: dict[str, Any] | None = None
    time: str | None = None


@dataclass(frozen=True)
class Entry:
    """A release in the ledger: what it is, where it comes from, and all that happened to it, oldest first."""

    __pydantic_config__: ClassVar[ConfigDict] = STRICT

    release: str
    commit: str
    pull_request: int | None = None
    verdict: str | None = None
    approver: str | None = None
    digests: dict[str, str] = field(default_factory=dict)
    transitions: tuple[Transition, ...] = ()


def state_path(environment: str) -> str:
    """Return the file of an environment's state."""
    return f"{environment}.yaml"


def entry_path(release: str) -> str:
    """Return the file of a release's entry.

    Raises:
        UserError: the id could not have been made by mainline, and might lead out of the folder.
    """
    if not NAME.fullmatch(release):
        raise UserError(f"{release!r} is no release id", "`mainline release list` shows those there are")
    return f"ledger/{release}.yaml"


def dump_state(state: State) -> str:
    """Return the YAML of a state.

    Raises:
        UserError: it contradicts itself.
    """
    path = state_path(state.environment)
    _refuse(path, state.faults())
    content = asdict(state)
    del content["environment"]
    return dump(content)


def parse_state(environment: Environment, text: str, where: str) -> State:
    """Return the state in ``text``; ``where`` is named in errors.

    Raises:
        UserError: the text is no YAML, has an unknown, missing or wrong key, or contradicts itself; each is named.
    """
    content = _mapping(text, where)
    missing = [item.name for item in fields(State) if item.name != "environment" and item.name not in content]
    _refuse(where, [(key, "is missing") for key in missing])
    state = _validate(State, {**content, "environment": environment}, where)
    _refuse(where, state.faults())
    return state


def dump_entry(entry: Entry) -> str:
    """Return the YAML of an entry."""
    content = asdict(entry)
    for transition in content["transitions"]:
        del transition["release"]
    return dump(content)


def parse_entry(release: str, text: str, where: str) -> Entry:
    """Return the entry in ``text``.

    Raises:
        UserError: as :func:`parse_state`, or it is the entry of another release.
    """
    content = _mapping(text, where)
    if content.get("release") != release:
        raise UserError(f"{where}: release: is {content.get('release')!r}, the file's name says {release!r}", _mend())
    listed = content.get("transitions")
    if isinstance(listed, list):
        content["transitions"] = [
            {**item, "release": release} if isinstance(item, dict) else item for item in listed
        ]  # fmt: skip
    return _validate(Entry, content, where)


def dump(content: Any) -> str:
    """Return ``content`` as YAML in its own order."""
    return yaml.safe_dump(plain(content), sort_keys=False, allow_unicode=True, width=120)


def plain(value: Any) -> Any:
    """Return ``value`` as JSON can hold it: lists for tuples, numbers of Python for NumPy's, null for NaN."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _is_moment(text: str) -> bool:
    try:
        return dt.datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _validate(kind: type[T], content: Mapping[str, Any], where: str) -> T:
    # By way of JSON: there a strict tuple may be a list. YAML makes an unquoted time a datetime.
    try:
        return TypeAdapter(kind).validate_json(json.dumps(content, default=_text))
    except ValidationError as error:
        lines = [(".".join(map(str, item["loc"])), f"{item['msg']} (got {item['input']!r})") for item in error.errors()]
        _refuse(where, lines)
        raise


def _text(value: object) -> str:
    return value.isoformat() if isinstance(value, dt.date) else str(value)


def _mapping(text: str, where: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{where}: is not valid YAML: {error}", _mend()) from error
    if not isinstance(content, dict):
        raise UserError(f"{where}: holds no keys", _mend())
    return {str(key): value for key, value in content.items()}


def _refuse(where: str, faults: list[tuple[str, str]]) -> None:
    if faults:
        raise UserError("\n".join(f"{where}: {key}: {text}" for key, text in faults), _mend())


def _mend() -> str:
    return "mend the file on branch deploy and commit it, or `git revert` the commit that broke it"
