from __future__ import annotations

from html.parser import HTMLParser

import pytest
from markdown_it import MarkdownIt

from mainline.evaluate.document import (
    Badge,
    Banner,
    Block,
    Bullets,
    Code,
    Fold,
    Heading,
    Link,
    Listing,
    Paragraph,
    Strong,
    Table,
    Tile,
    Tiles,
    Warn,
    to_html,
    to_markdown,
)

HOSTILE = "<script>alert(1)</script>|`x`|[a](http://b) ![i](j) **b** @team #1 &amp; \n# h"
EVERYWHERE: list[Block] = [
    Heading(HOSTILE),
    Paragraph((HOSTILE, Code(HOSTILE), Strong(HOSTILE), Badge(HOSTILE, True))),
    Bullets((HOSTILE, Code(HOSTILE))),
    Table((HOSTILE, "b"), ((HOSTILE, Code(HOSTILE)),), folded=HOSTILE),
    Tiles((Tile(HOSTILE, HOSTILE, HOSTILE),)),
    Banner(HOSTILE, (HOSTILE, Link(HOSTILE, HOSTILE)), None),
    Warn((HOSTILE, (Code(HOSTILE), Link("x", "javascript:alert(1)")))),
]


class Tags(HTMLParser):
    """Collects tags, and fails when one is closed that is not open."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        if tag not in {"meta", "line", "rect", "circle", "polyline"}:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def tags(page: str) -> set[str]:
    parser = Tags()
    parser.feed(page)
    assert parser.open == []
    return parser.seen


def test_html_from_data_is_text() -> None:
    page = to_html(HOSTILE, EVERYWHERE)
    assert not tags(page) & {"script", "a b", "img"}
    assert "&lt;script&gt;" in page and "default-src 'none'" in page


def test_markdown_from_data_is_text() -> None:
    blocks = [block for block in EVERYWHERE if not isinstance(block, Table | Warn)]
    kinds, words = markdown_kinds(to_markdown([*blocks, Table((HOSTILE,), ((HOSTILE,), (Code(HOSTILE),)))]))
    assert not kinds & {"html_inline", "html_block", "link_open", "image", "blockquote_open"}
    assert "<script>alert(1)</script>" in words and "@team" not in words and "http://" not in words
    warned = [block for block in EVERYWHERE if isinstance(block, Warn)]
    assert not markdown_kinds(to_markdown(warned))[0] & {"html_inline", "html_block", "link_open", "image"}
    # The parser that judges must see what it is to find.
    assert markdown_kinds("x " + HOSTILE)[0] >= {"html_inline", "link_open", "image"}


def markdown_kinds(text: str) -> tuple[set[str], str]:
    """Return the kinds of token that a CommonMark parser finds, and the words outside code."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    flat = [child for token in tokens for child in (token, *(token.children or []))]
    return {token.type for token in flat}, " ".join(token.content for token in flat if token.type == "text")


@pytest.mark.parametrize("value", ["a|b", "`a|b`", "a\\|b", "|", "a\nb", "", " ", "``", "\\"])
def test_a_value_cannot_leave_its_cell(value: str) -> None:
    tokens = (
        MarkdownIt("commonmark").enable("table").parse(to_markdown([Table(("one", "two"), ((Code(value), value),))]))
    )
    cells = [tokens[index + 1] for index, token in enumerate(tokens) if token.type == "td_open"]
    assert len(cells) == 2
    shown = "".join(child.content for child in cells[1].children or [])
    assert shown == value.replace("\n", " ").strip()


def test_code_keeps_backticks_and_says_when_it_is_empty() -> None:
    assert to_markdown([Paragraph(Code("a`b"))]) == "``a`b``\n"
    assert to_markdown([Paragraph(Code("`"))]) == "`` ` ``\n"
    assert to_markdown([Paragraph(Code(""))]) == "*(empty)*\n"
    assert "(empty)" in to_html("t", [Paragraph(Code(" "))])


def test_code_next_to_code_stays_code() -> None:
    kinds, _ = markdown_kinds(to_markdown([Paragraph((Code("a"), Code("b``<img src=x>"), Link("c", "`<b>`")))]))
    assert "html_inline" not in kinds


def test_invisible_and_reordering_characters_are_taken_out() -> None:
    for text in (to_markdown([Paragraph("a\u202eb\x00c\u200bd")]), to_html("t", [Paragraph("a\u202eb\x00c\u200bd")])):
        assert "a b c d" in text


@pytest.mark.parametrize(
    ("text", "markdown"), [("- a", "\\- a"), ("1. a", "1\\. a"), ("+ a", "\\+ a"), ("0.5 a", "0.5 a")]
)
def test_a_paragraph_does_not_begin_a_list(text: str, markdown: str) -> None:
    assert to_markdown([Paragraph(text)]) == markdown + "\n"


def test_badges_carry_their_meaning_in_words() -> None:
    assert (
        to_markdown([Paragraph((Badge("pass", True), Badge("fail", False), Badge("off", None)))])
        == "✅ pass❌ failoff\n"
    )


def test_a_folded_table_and_a_listing() -> None:
    blocks: list[Block] = [Table(("a",), (("1",),), (0,), "more"), Listing("make run <x>")]
    assert to_markdown(blocks) == (
        "<details><summary>more</summary>\n\n| a |\n| --: |\n| 1 |\n\n</details>\n\n```sh\nmake run <x>\n```\n"
    )
    assert tags(to_html("t", blocks)) >= {"details", "summary", "table", "pre"}
    assert "make run &lt;x&gt;" in to_html("t", blocks)


@pytest.mark.parametrize("value", ["#123", "a/b#1", "GH-7", "gh-7", "@team", "http://x", "www.x"])
def test_a_value_is_no_reference_on_github_either(value: str) -> None:
    """GitHub looks for these in the text that Markdown gives, after the backslashes are gone."""
    text = to_markdown([Paragraph(value), Fold(value, (Paragraph("x"),)), Table(("a",), (("b",),), folded=value)])
    assert value not in text.replace("\\", "") and text.replace("\\", "").replace("\u200b", "").count(value) == 3
    assert value in to_html("t", [Paragraph(value)]), "the page links nothing by itself"


@pytest.mark.parametrize(
    "address", ["javascript:alert(1)", "http://x/ y", "https://x/>)<b>", "//x", "http://x/\n[a](b)"]
)
def test_only_a_plain_address_is_a_link(address: str) -> None:
    blocks: list[Block] = [Paragraph(Link("here", address))]
    kinds, _ = markdown_kinds(to_markdown(blocks))
    assert "link_open" not in kinds and "a" not in tags(to_html("t", blocks))
    fine: list[Block] = [Paragraph(Link("[here](x)", "https://x.example/a_(b)?c=*d*&e#f"))]
    assert "](<https://x.example/a_(b)?c=*d*&e#f>)" in to_markdown(fine)
    assert 'href="https://x.example/a_(b)?c=*d*&amp;e#f"' in to_html("t", fine)
    assert "link_open" in markdown_kinds(to_markdown(fine))[0]


@pytest.mark.parametrize(("good", "sign", "kind"), [(True, "✅", "good"), (False, "❌", "bad"), (None, "⏸️", "hold")])
def test_a_banner_says_its_verdict_in_both(good: bool | None, sign: str, kind: str) -> None:
    blocks: list[Block] = [Banner("Word", "- why", good)]
    assert to_markdown(blocks) == f"# {sign} Word\n\n\\- why\n"
    assert f'<div class="banner {kind}"><h1>Word</h1><p>- why</p></div>' in to_html("t", blocks)


def test_a_warning_stays_in_its_frame_and_a_fold_around_its_blocks() -> None:
    blocks: list[Block] = [Warn(("one\ntwo", "# three")), Fold("more", (Paragraph("a"), Bullets(("b",))))]
    assert to_markdown(blocks) == (
        "> [!CAUTION]\n> one two\n>\n> \\# three\n\n<details><summary>more</summary>\n\na\n\n- b\n\n</details>\n"
    )
    assert tags(to_html("t", blocks)) >= {"details", "summary", "ul"}


def test_a_diagram_is_for_markdown_only() -> None:
    blocks: list[Block] = [Listing("pie", "mermaid")]
    assert to_markdown(blocks) == "```mermaid\npie\n```\n" and "pie" not in to_html("t", blocks)


def test_a_badge_without_a_sign_keeps_its_colour() -> None:
    assert to_markdown([Paragraph(Badge("▲ better", True, sign=False))]) == "▲ better\n"
    assert 'class="badge good">▲ better<' in to_html("t", [Paragraph(Badge("▲ better", True, sign=False))])


def test_half_a_character_can_be_written() -> None:
    assert to_markdown([Paragraph("a\ud800b")]).encode() == b"a b\n"
