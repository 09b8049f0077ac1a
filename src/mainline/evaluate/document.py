"""A small document of headings, text, tables and plots that is written once and rendered as Markdown and as HTML.

Every string in a block is plain text and is escaped by the renderer, so a value from the data cannot become markup.
The only exception is :class:`Plots`, whose SVG comes from ``mainline.evaluate.charts``.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from importlib import resources
from string import Template

from mainline.evaluate.blocks import (
    Badge,
    Banner,
    Block,
    Bullets,
    Code,
    Fold,
    Heading,
    Inline,
    Link,
    Listing,
    Paragraph,
    Piece,
    Plots,
    Strong,
    Table,
    Tile,
    Tiles,
    Warn,
    clean,
)

__all__ = [
    "Badge",
    "Banner",
    "Block",
    "Bullets",
    "Code",
    "Fold",
    "Heading",
    "Inline",
    "Link",
    "Listing",
    "Paragraph",
    "Piece",
    "Plots",
    "Strong",
    "Table",
    "Tile",
    "Tiles",
    "Warn",
    "clean",
    "to_html",
    "to_markdown",
]

_MARKUP = re.compile(r"([\\`*_\[\]<>|~&$#!])")
_REFERENCE = re.compile(r"(?i)(@|(?:gh-|#)(?=\d))")
_LINK = re.compile(r"(?i)(://|\bwww\.)")
_URL = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&'()*+,;=%\[\]-]+")


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
        case Listing(text, language):
            return f"```{language}\n{text}\n```"
        case Banner(title, why, good):
            sign = {True: "✅", False: "❌", None: "⏸️"}[good]
            return f"# {sign} {_md_text(title)}\n\n{_md_start(why)}"
        case Warn(lines):
            return "> [!CAUTION]\n" + "\n>\n".join(f"> {_md_start(line)}" for line in lines)
        case Fold(summary, blocks):
            return _md_fold(summary, to_markdown(blocks).rstrip("\n"))
        case Plots():
            return ""


def _markdown_table(table: Table) -> str:
    rule = ("--:" if index in table.numeric else ":--" for index in range(len(table.head)))
    rows = [" | ".join(_md(name) for name in table.head), " | ".join(rule)]
    rows += [" | ".join(_md(cell) for cell in row) for row in table.rows]
    lines = "\n".join(f"| {row} |" for row in rows)
    return _md_fold(table.folded, lines) if table.folded else lines


def _md_fold(summary: str, inside: str) -> str:
    return f"<details><summary>{_quiet(_plain(summary))}</summary>\n\n{inside}\n\n</details>"


def _md_start(text: Inline) -> str:
    """A text that opens with `-`, `+`, `=` or `1.` would begin a list or underline a heading."""
    return re.sub(r"^(\s*\d+(?=[.)](?:\s|$))|\s*(?=[-+=]))(.)", r"\1\\\2", _md(text))


def _md(text: Inline) -> str:
    written = ""
    for piece in _pieces(text):
        part = _md_piece(piece)
        # Two code spans that touch would join their fences, and what is inside would be read as markup.
        written += "\u200b" + part if written.endswith("`") and part.startswith("`") else part
    return written


def _md_piece(piece: Piece) -> str:
    match piece:
        case Code(text):
            return _md_code(clean(text))
        case Strong(text):
            return f"**{_md_text(text)}**" if text.strip() else ""
        case Badge(text, good, sign):
            return f"{'' if not sign or good is None else '✅ ' if good else '❌ '}{_md_text(text)}"
        case Link(text, address):
            return f"[{_md_text(text)}](<{address}>)" if _URL.fullmatch(address) else _md_code(clean(address))
        case str():
            return _md_text(piece)


def _md_text(text: str) -> str:
    return _quiet(_MARKUP.sub(r"\\\1", clean(text)))


def _quiet(text: str) -> str:
    # A zero-width space keeps GitHub from turning a value into a mention (a mail to a stranger), a reference in
    # someone's issue, or a link. It looks for these after it has read the Markdown: a backslash does not help.
    quiet = _REFERENCE.sub("\\1\u200b", text)
    return _LINK.sub(lambda match: f"{match[0][:-1]}\u200b{match[0][-1]}", quiet)


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
        case Listing(text, language):
            return f"<pre>{html.escape(text)}</pre>" if language == "sh" else ""
        case Banner(title, why, good):
            kind = {True: "good", False: "bad", None: "hold"}[good]
            return f'<div class="banner {kind}"><h1>{_plain(title)}</h1><p>{_inline(why)}</p></div>'
        case Warn(lines):
            return '<div class="banner bad">' + "".join(f"<p>{_inline(line)}</p>" for line in lines) + "</div>"
        case Fold(summary, blocks):
            return _html_fold(summary, "\n".join(_html(block) for block in blocks))


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
    return _html_fold(table.folded, text) if table.folded else text


def _html_fold(summary: str, inside: str) -> str:
    return f"<details><summary>{_plain(summary)}</summary>{inside}</details>"


def _inline(text: Inline) -> str:
    return "".join(_html_piece(piece) for piece in _pieces(text))


def _html_piece(piece: Piece) -> str:
    match piece:
        case Code(text):
            return f"<code>{_plain(text)}</code>" if text.strip() else "<em>(empty)</em>"
        case Strong(text):
            return f"<strong>{_plain(text)}</strong>"
        case Link(text, address):
            shown = f'<a href="{html.escape(address)}">{_plain(text)}</a>'
            return shown if _URL.fullmatch(address) else f"<code>{_plain(address)}</code>"
        case Badge(text, good):
            kind = {True: "good", False: "bad", None: "none"}[good]
            return f'<span class="badge {kind}">{_plain(text)}</span>'
        case str():
            return _plain(piece)
