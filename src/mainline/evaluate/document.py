"""A small document of headings, text, tables and plots that is written once and rendered as Markdown and as HTML.

Every string in a block is plain text and is escaped by the renderer, so a value from the data cannot become markup.
The only exception is :class:`Plots`, whose SVG comes from ``mainline.evaluate.charts``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from string import Template

_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$#!])")
_LINK = re.compile(r"(?i)(://|\bwww\.)")


@dataclass(frozen=True)
class Code:
    """A name or a value from the data or the settings."""

    text: str


@dataclass(frozen=True)
class Strong:
    text: str


@dataclass(frozen=True)
class Badge:
    """A verdict: the word carries the meaning, the colour only repeats it."""

    text: str
    good: bool | None


Piece = str | Code | Strong | Badge
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
    text: str


Block = Heading | Paragraph | Bullets | Table | Plots | Tiles | Listing


def clean(text: str) -> str:
    """Return ``text`` on one line, without characters that are invisible or that reorder what surrounds them."""
    return _UNSEEN.sub(" ", text)


def to_markdown(blocks: Sequence[Block]) -> str:
    """Return GitHub-flavoured Markdown; it ends with one newline."""
    return "\n\n".join(part for block in blocks if (part := _markdown(block))) + "\n"


def to_html(title: str, blocks: Sequence[Block]) -> str:
    """Return one HTML page that needs no network and no script; the first block is its header."""
    page = Template(resources.files("mainline.evaluate").joinpath("page.html").read_text(encoding="utf-8"))
    names = [block.text for block in blocks if isinstance(block, Heading) and block.level == 2]
    links = "".join(f'<a href="#{_anchor(name)}">{_plain(name)}</a>' for name in names)
    return page.substitute(title=_plain(title), links=links, body="\n".join(_html(block) for block in blocks))


def _pieces(text: Inline) -> tuple[Piece, ...]:
    return text if isinstance(text, tuple) else (text,)


def _markdown(block: Block) -> str:
    match block:
        case Heading(text, level):
            return f"{'#' * level} {_md(text)}"
        case Paragraph(text):
            return _md_start(text)
        case Bullets(items):
            return "\n".join(f"- {_md_start(item)}" for item in items)
        case Table():
            return _markdown_table(block)
        case Tiles(items):
            cells = ((Strong(tile.value), f" {tile.label}", f" ({tile.note})" if tile.note else "") for tile in items)
            return " · ".join(_md(cell) for cell in cells)
        case Listing(text):
            return f"```sh\n{text}\n```"
        case Plots():
            return ""


def _markdown_table(table: Table) -> str:
    rule = ("--:" if index in table.numeric else ":--" for index in range(len(table.head)))
    rows = [" | ".join(_md(name) for name in table.head), " | ".join(rule)]
    rows += [" | ".join(_md(cell) for cell in row) for row in table.rows]
    lines = "\n".join(f"| {row} |" for row in rows)
    if not table.folded:
        return lines
    return f"<details><summary>{_plain(table.folded)}</summary>\n\n{lines}\n\n</details>"


def _md_start(text: Inline) -> str:
    """A text that opens with `-`, `+`, `=` or `1.` would begin a list or underline a heading."""
    return re.sub(r"^(\s*\d+(?=[.)](?:\s|$))|\s*(?=[-+=]))(.)", r"\1\\\2", _md(text))


def _md(text: Inline) -> str:
    return "".join(_md_piece(piece) for piece in _pieces(text))


def _md_piece(piece: Piece) -> str:
    match piece:
        case Code(text):
            return _md_code(clean(text))
        case Strong(text):
            return f"**{_md_text(text)}**" if text.strip() else ""
        case Badge(text, good):
            return f"{'✅ ' if good else '❌ ' if good is False else ''}{_md_text(text)}"
        case str():
            return _md_text(piece)


def _md_text(text: str) -> str:
    # A zero-width space keeps GitHub from turning a value into a mention (a mail to a stranger) or a link.
    escaped = _MARKUP.sub(r"\\\1", clean(text)).replace("@", "@\u200b")
    return _LINK.sub(lambda match: f"{match[0][:-1]}\u200b{match[0][-1]}", escaped)


def _md_code(text: str) -> str:
    if not text.strip():
        return "*(empty)*"
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    pad = " " if text[0] in "` " or text[-1] in "` " else ""
    # In a table GitHub reads `\|` as a pipe and a bare pipe as the next cell, inside code too.
    return f"{fence}{pad}{text}{pad}{fence}".replace("|", "\\|")


def _anchor(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def _plain(text: str) -> str:
    return html.escape(clean(text))


def _html(block: Block) -> str:
    match block:
        case Heading(text, 1):
            return f"<h1>{_plain(text)}</h1>"
        case Heading(text, level):
            return f'<h{level} id="{_anchor(text)}">{_plain(text)}</h{level}>'
        case Paragraph(text):
            return f"<p>{_inline(text)}</p>"
        case Bullets(items):
            return "<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>"
        case Table():
            return _html_table(block)
        case Plots(svg):
            return '<div class="plots">' + "\n".join(f"<figure>{item}</figure>" for item in svg) + "</div>"
        case Tiles(items):
            return '<div class="tiles">' + "".join(_tile(tile) for tile in items) + "</div>"
        case Listing(text):
            return f"<pre>{html.escape(text)}</pre>"


def _tile(tile: Tile) -> str:
    kind = {True: " good", False: " bad", None: ""}[tile.good]
    note = f"<small>{_plain(tile.note)}</small>" if tile.note else ""
    return f'<div class="tile{kind}"><span>{_plain(tile.label)}</span><b>{_plain(tile.value)}</b>{note}</div>'


def _html_table(table: Table) -> str:
    def cells(tag: str, row: Sequence[Inline]) -> str:
        opened = (f'<{tag} class="n">' if index in table.numeric else f"<{tag}>" for index in range(len(row)))
        return "".join(f"{start}{_inline(cell)}</{tag}>" for start, cell in zip(opened, row, strict=True))

    body = "\n".join(f"<tr>{cells('td', row)}</tr>" for row in table.rows)
    head = f"<thead><tr>{cells('th', table.head)}</tr></thead>"
    text = f'<div class="scroll"><table>{head}\n<tbody>{body}</tbody></table></div>'
    return f"<details><summary>{_plain(table.folded)}</summary>{text}</details>" if table.folded else text


def _inline(text: Inline) -> str:
    return "".join(_html_piece(piece) for piece in _pieces(text))


def _html_piece(piece: Piece) -> str:
    match piece:
        case Code(text):
            return f"<code>{_plain(text)}</code>" if text.strip() else "<em>(empty)</em>"
        case Strong(text):
            return f"<strong>{_plain(text)}</strong>"
        case Badge(text, good):
            kind = {True: "good", False: "bad", None: "none"}[good]
            return f'<span class="badge {kind}">{_plain(text)}</span>'
        case str():
            return _plain(piece)
