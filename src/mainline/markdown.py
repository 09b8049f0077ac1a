"""Text from outside, as it may stand in Markdown that GitHub shows: nothing in it is markup, a link or a mention.

Inside a code span or a code block GitHub resolves neither ``@name`` nor ``#1`` nor ``owner/repo#5``, and HTML, images
and entities are shown as they are written. So text of another's is always code, and cannot end the code it is in.
"""

from __future__ import annotations

import re
import unicodedata

# These look the same and mean nothing to Markdown: a backtick would end the code, a bar the cell of a table.
SAFE = str.maketrans("<>`|", "‹›ʼ¦")  # noqa: RUF001


def plain(text: str, most: int = 300) -> str:
    """Return ``text`` on one line, cut to ``most`` letters, without control marks, ``<``, ``>``, backticks and bars."""
    visible = "".join(letter if unicodedata.category(letter)[0] != "C" else " " for letter in text)
    shown = " ".join(visible.translate(SAFE).split())
    return shown if len(shown) <= most else shown[: most - 1] + "…"


def code(text: str, most: int = 300) -> str:
    """Return :func:`plain` as a code span; nothing for nothing."""
    shown = plain(text, most)
    return f"`{shown}`" if shown else ""


def block(text: str, most: int = 60_000) -> str:
    """Return ``text`` with its lines as a code block that it cannot end; at most ``most`` bytes."""
    lines = "".join(letter for letter in text if letter in "\n\t" or unicodedata.category(letter)[0] != "C")
    data = lines.encode("utf-8")
    if len(data) > most:
        lines = data[:most].decode("utf-8", "ignore").rsplit("\n", 1)[0] + "\n…"
    longest = max((len(run) for run in re.findall(r"`+", lines)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{lines.rstrip()}\n{fence}\n"
