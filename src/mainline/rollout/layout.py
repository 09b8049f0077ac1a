"""What the proxy is to do, in our words, and as one line of text that Envoy carries with its configuration."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from mainline.errors import UserError


@dataclass(frozen=True)
class Upstream:
    """A release behind the proxy: the ports of its processes on this machine."""

    release: str
    ports: tuple[int, ...]

    @property
    def name(self) -> str:
        """Return the cluster's name: another process is another cluster, so that a change warms up before it counts."""
        return f"{self.release}-p{'-'.join(map(str, self.ports))}"


@dataclass(frozen=True)
class Layout:
    """Who answers whom.

    Attributes:
        stable: answers everybody else, and stands in when the candidate fails.
        weight: per cent of the users whom the candidate answers.
        shadow: every request also goes to the candidate, which answers nobody.
        revision: of the state in git that this carries out.
        intent: what is being done to that state and not in git yet ("abort", "rollback <release>"); empty: nothing.
    """

    stable: Upstream
    candidate: Upstream | None = None
    weight: int = 0
    shadow: bool = False
    revision: int = 0
    intent: str = ""

    def text(self) -> str:
        """Return the layout as one line."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))

    def upstreams(self) -> Sequence[Upstream]:
        """Return those it names."""
        return [self.stable, *([self.candidate] if self.candidate else [])]

    def same_traffic(self, other: Layout) -> bool:
        """Return whether both send the same requests to the same releases."""
        mine, theirs = (
            (
                layout.stable.release,
                layout.candidate.release if layout.candidate else None,
                layout.weight,
                layout.shadow,
            )
            for layout in (self, other)
        )
        return mine == theirs


def read_layout(text: str, where: str) -> Layout:
    """Return the layout in a line.

    Raises:
        UserError: it is none; ``where`` is named.
    """
    try:
        content = json.loads(text)
        stable, candidate = content.pop("stable"), content.pop("candidate")
        return Layout(_upstream(stable), _upstream(candidate) if candidate else None, **content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(
            f"{where}: was not written by mainline ({error})",
            "`mainline rollout stop` takes the proxy down; `mainline rollout run` builds it up again from git",
        ) from error


def _upstream(content: dict[str, object]) -> Upstream:
    ports = content["ports"]
    if not isinstance(ports, list):
        raise TypeError("ports is no list")
    return Upstream(str(content["release"]), tuple(int(port) for port in ports))
