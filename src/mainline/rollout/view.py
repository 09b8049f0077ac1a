"""A rollout as it happens: a live picture on a terminal, one line a change anywhere else."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from mainline import console
from mainline.rollout.actions import Tick
from mainline.rollout.plan import Plan

COLOURS = {"promote": "green", "abort": "bold red", "hold": "yellow", "none": "dim"}
WORDS = {"promote": "passed", "abort": "abort", "hold": "wait", "none": "not judged"}


class View(Protocol):
    """What shows ticks."""

    def show(self, tick: Tick) -> None:
        """Show one tick."""


@contextmanager
def view(title: str, plan: Plan | None = None, terminal: Console | None = None) -> Iterator[View]:
    """Yield what fits the output: a live picture on a terminal, plain lines elsewhere."""
    target = terminal or console.out()
    if not target.is_terminal:
        yield Lines()
        return
    with Live(console=target, refresh_per_second=4, transient=False) as live:
        yield Picture(live, title, plan)


@dataclass
class Lines:
    """One line for each change: when what is said changes in kind, and every ``repeat`` seconds of waiting."""

    repeat: float = 10.0
    _last: str = ""
    _at: float = 0.0

    def show(self, tick: Tick) -> None:
        """Print the tick if it is news."""
        state = tick.state
        key = f"{tick.outcome}{state.phase}{state.weight}{state.candidate}"
        if key == self._last and time.monotonic() - self._at < self.repeat:
            return
        self._last, self._at = key, time.monotonic()
        marks: dict[str, console.Mark] = {"promote": "pass", "abort": "fail", "resume": "warn"}
        console.say(f"{phase_of(tick):<14} {tick.text}", marks.get(tick.outcome, "none"))


@dataclass
class Picture:
    """The whole rollout on one screen: how far it is, both sides, every check."""

    live: Live
    title: str
    plan: Plan | None
    _done: list[str] = field(default_factory=list)

    def show(self, tick: Tick) -> None:
        """Draw the tick."""
        if tick.outcome in ("promote", "abort", "resume"):
            self._done.append(f"{phase_of(tick)}: {tick.text}"[:160])
        self.live.update(self.draw(tick))

    def draw(self, tick: Tick) -> RenderableType:
        """Return the picture of one tick."""
        parts: list[RenderableType] = [Text(self.title, style="bold"), self._bar(tick)]
        if tick.figures.get("candidate"):
            parts.append(_sides(tick.figures))
        if tick.decision is not None:
            parts.append(_checks(tick))
        else:
            parts.append(Text(tick.text, style=COLOURS.get(tick.outcome, "")))
        parts += [Text(f"✓ {line}", style="dim") for line in self._done[-8:]]
        return Group(*parts)

    def _bar(self, tick: Tick) -> RenderableType:
        row = Table.grid(padding=(0, 2))
        row.add_row(Text(phase_of(tick), style="cyan"), ProgressBar(total=100, completed=tick.state.weight, width=40),
                    Text(f"{tick.state.weight} % of the users"))  # fmt: skip
        return row


def phase_of(tick: Tick) -> str:
    """Return where the rollout stands, in two words."""
    state = tick.state
    if state.candidate is None:
        return "stable"
    return {"canary": f"canary {state.weight} %", "ab": f"a/b {state.weight} %"}.get(
        state.phase or "", state.phase or "start"
    )


def _sides(figures: Any) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("", "attempts", "errors", "p99 ms", "mean score", "memory MB"):
        shown.add_column(name, justify="left" if not name else "right", header_style="dim")
    for side in ("candidate", "stable"):
        arm = figures[side]
        numbers = [arm["requests"], arm["errors"], arm["p99_ms"], arm["mean_score"], arm["memory_mb"]]
        shown.add_row(side, *("" if value is None else f"{value:,.4g}" if isinstance(value, float) else f"{value:,}"
                              for value in numbers))  # fmt: skip
    return shown


def _checks(tick: Tick) -> Table:
    shown = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for name in ("check", "", "in words"):
        shown.add_column(name, header_style="dim", overflow="fold")
    for check in tick.decision.checks if tick.decision else ():
        shown.add_row(check.name, Text(WORDS[check.outcome], style=COLOURS[check.outcome]), Text(check.text))
    return shown
