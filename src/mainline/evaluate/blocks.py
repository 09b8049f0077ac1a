"""What a document is made of. Every string is plain text: the renderers in ``mainline.evaluate.document`` escape it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]+")


@dataclass(frozen=True)
class Code:
    """A name or a value from the data or the settings."""

    text: str


@dataclass(frozen=True)
class Strong:
    text: str


@dataclass(frozen=True)
class Badge:
    """A verdict: the word carries the meaning, the colour only repeats it; Markdown shows the colour as a ``sign``."""

    text: str
    good: bool | None
    sign: bool = True


@dataclass(frozen=True)
class Link:
    """A link; an address that is not plain http(s) is shown, not linked."""

    text: str
    address: str


Piece = str | Code | Strong | Badge | Link
Inline = Piece | tuple[Piece, ...]


@dataclass(frozen=True)
class Heading:
    text: str
    level: int = 2


@dataclass(frozen=True)
class Paragraph:
    text: Inline


@dataclass(frozen=True)
class Bullets:
    items: tuple[Inline, ...]


@dataclass(frozen=True)
class Table:
    """``numeric`` lists the columns set flush right; ``folded`` is the line shown while the table is closed."""

    head: tuple[str, ...]
    rows: tuple[tuple[Inline, ...], ...]
    numeric: tuple[int, ...] = ()
    folded: str = ""


@dataclass(frozen=True)
class Plots:
    """SVG made by ``mainline.evaluate.charts``; Markdown leaves it out, because GitHub shows no inline SVG."""

    svg: tuple[str, ...]


@dataclass(frozen=True)
class Tile:
    label: str
    value: str
    note: str = ""
    good: bool | None = None


@dataclass(frozen=True)
class Tiles:
    items: tuple[Tile, ...]


@dataclass(frozen=True)
class Listing:
    """Commands; or a diagram that GitHub draws and HTML leaves out. ``text`` is not escaped: nothing from data."""

    text: str
    language: Literal["sh", "mermaid"] = "sh"


@dataclass(frozen=True)
class Banner:
    """What the reader must see first: a verdict in large letters and why; ``good`` is None for "cannot tell"."""

    title: str
    why: Inline
    good: bool | None


@dataclass(frozen=True)
class Warn:
    """Lines that must not be overlooked; GitHub sets them in a red frame."""

    lines: tuple[Inline, ...]


@dataclass(frozen=True)
class Fold:
    """Blocks behind one line, closed at first."""

    summary: str
    blocks: tuple[Block, ...]


Block = Heading | Paragraph | Bullets | Table | Plots | Tiles | Listing | Banner | Warn | Fold


def clean(text: str) -> str:
    """Return ``text`` on one line, without characters that are invisible or that reorder what surrounds them."""
    return _UNSEEN.sub(" ", text)
