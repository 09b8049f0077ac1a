"""Words for a person at a terminal, plain lines and annotations for CI."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

Mark = Literal["pass", "fail", "warn", "none"]
STYLES: dict[Mark, tuple[str, str]] = {
    "pass": ("✓", "green"),
    "fail": ("✗", "bold red"),
    "warn": ("!", "yellow"),
    "none": (" ", "default"),
}


def out() -> Console:
    """Return a console on standard output; wide and plain when that is not a terminal."""
    terminal = sys.stdout.isatty()
    return Console(width=None if terminal else 160, highlight=False, soft_wrap=True, emoji=False)


def any_terminal() -> None:
    """Let standard output print "?" where a terminal lacks the character; otherwise `print` would raise an error."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")


def say(text: str, mark: Mark = "none") -> None:
    """Print one line, with a coloured mark in front."""
    sign, style = STYLES[mark]
    out().print(Text(f"{sign} " if mark != "none" else "", style=style) + Text(text))


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> None:
    """Print a small table; columns with an index in ``right`` are aligned right."""
    drawn = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, name in enumerate(columns):
        drawn.add_column(name, justify="right" if index in right else "left", header_style="dim", overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    out().print(drawn)


def annotate(level: Literal["error", "warning", "notice"], message: str, file: str = "", line: int = 0) -> None:
    """Print a GitHub annotation when run by GitHub Actions; nothing elsewhere."""
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return
    place = ",".join(
        part for part in (f"file={_escape(file, True)}" if file else "", f"line={line}" if line else "") if part
    )
    print(f"::{level}{' ' + place if place else ''}::{_escape(message)}", flush=True)


def error(message: str) -> None:
    """Print an error to standard error, and as an annotation in CI."""
    Console(stderr=True, highlight=False, soft_wrap=True, emoji=False).print(
        Text("✗ ", style="bold red") + Text(message)
    )
    annotate("error", message)


def warn(message: str) -> None:
    """Print a warning, and as an annotation in CI."""
    say(message, "warn")
    annotate("warning", message)


@contextmanager
def working(what: str) -> Iterator[None]:
    """Show a spinner with ``what`` while a person waits at a terminal; one plain line elsewhere."""
    console = out()
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        console.print(Text(f"{what} …"))
        yield


def _escape(text: str, is_property: bool = False) -> str:
    """Return ``text`` with the characters that end a workflow command encoded."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if is_property else text
