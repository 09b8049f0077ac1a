"""Texts that GitHub would turn into a link, a mention, an image or HTML, in every text that is made of such words."""

from __future__ import annotations

import pytest
from markdown_it import MarkdownIt

from mainline.markdown import block, code

HOSTILE = [
    "@ada please approve",
    "&#64;ada please approve",
    "&commat;ada",
    "<Img src=https://evil.example/p.png>",
    "<picture><source srcset=https://evil.example/p.png></picture>",
    "<video src=https://evil.example/v.mp4></video>",
    "<a href=https://evil.example>click</a>",
    "<details open><summary>x</summary>",
    "![x](https://evil.example/p.png)",
    "!&#91;x](https://evil.example/p.png)",
    "[text](https://evil.example)",
    "<https://evil.example>",
    "https://evil.example and www.evil.example",
    "closes #1, GH-3",
    "fixes ada/loans#5",
    "0123456789abcdef0123456789abcdef01234567",
    "<!-- mainline:verdict -->",
    "a | b || c",
    "`` ` ``` **bold** ``",
    "```\n\n# heading @ada\n\n- [ ] #1",
    "~~~\n@ada",
    "line\n\n@ada\n\n    indented",
    "\u202eright to left\u200b zero\x00 width\x1b[31m",
    "[^1]: @ada\n[x]: https://evil.example",
]


def shown(text: str) -> list[str]:
    """Return what of ``text`` GitHub would read as more than letters: markup, and words outside code."""
    found = []
    for token in MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(text):
        for part in token.children or [token]:
            if part.type in ("code_inline", "fence", "softbreak") or part.type.startswith(("paragraph", "inline")):
                continue
            if part.type.startswith(("table", "thead", "tbody", "tr_", "th_", "td_")):
                continue
            found.append(part.content if part.type == "text" else part.type)
    return [item for item in found if item]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_from_outside_is_nothing_but_code(text: str) -> None:
    assert shown(f"before {code(text)}") == ["before "]
    assert shown(f"| a | b |\n|---|---|\n| {code(text)} | {code(text)} |") == ["a", "b"]
    assert shown(block(text)) == []
    assert shown(block(f"first\n{text}\nlast")) == []


def test_a_block_keeps_its_lines_and_its_size() -> None:
    assert block("a\n  b\n\nc\n") == "```text\na\n  b\n\nc\n```\n"
    assert block("``` a\n````") == "`````text\n``` a\n````\n`````\n"
    long = block("ä" * 10 + "\n" + "b" * 100, most=60)
    assert len(long.encode()) < 80 and long == f"```text\n{'ä' * 10}\n…\n```\n"


def test_nothing_is_shown_for_nothing() -> None:
    assert code("") == code(" \n\x00") == ""
