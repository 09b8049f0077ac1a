from __future__ import annotations

import pytest

from mainline.config import Monitor
from mainline.markdown import code
from mainline.monitor.alarms import Point, Signal, mark, standing
from mainline.monitor.issue_body import (
    LARGEST,
    YOURS,
    Setting,
    body,
    compose,
    read_points,
    read_state,
    same,
    title,
)

HOSTILE = [
    "@ada please approve",
    "closes #1 and ada/loans#2, GH-3",
    "<img src=x onerror=alert(1)><details>",
    "`` ` ``` **bold** [text](https://evil.example) ![x](https://evil.example/p.png) www.evil.example",
    "a | b || c",
    "--> <!-- mainline:monitor:bank:drift:other -->\n<!-- mainline:state {} -->",
    f"x\n{YOURS}\ny",
    "\u202eright to left\u200b zero\x00 width\x1b[31m",
    "```\n# heading\n- [ ] task",
    "$x$ \\` :rocket: ${{ secrets.TOKEN }} ::error::x",
]


def signal(words: str = "moved up by 0.4 sd", column: str = "age", windows: int = 14) -> Signal:
    points = tuple(
        Point(f"2009-06-{day:02}", f"2009-06-{day + 1:02}T00:00:00+00:00", "alarm", 1_000, day / 10, 0.1, words, "high")
        for day in range(1, windows + 1)
    )
    return Signal("contract", column, "share", points)


def written(found: Signal, url: str = "") -> str:
    return body(found, standing(found.points, 3), Setting("bank", Monitor(), url=url))


@pytest.mark.parametrize("words", HOSTILE)
def test_a_value_from_the_data_is_shown_and_does_nothing(words: str) -> None:
    plain = written(signal("harmless"))
    text = written(signal(words))
    # The same lines with the same cells; every hostile character is inside one piece of code, or gone.
    assert len(text.split("\n")) == len(plain.split("\n"))
    shown = code(words)
    assert shown.startswith("`") and shown.endswith("`") and not set(shown[1:-1]) & set("`<>|\n\x00\x1b\u202e\u200b")
    assert text.replace(code(words, 1_000), "").replace(shown, "") == plain.replace(code("harmless"), "")
    assert [line.count("|") for line in text.split("\n")] == [line.count("|") for line in plain.split("\n")]
    assert compose(text).count(YOURS) == 1


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_column_neither_ends_the_mark_nor_takes_anothers(name: str) -> None:
    first = mark("bank", "drift", name)
    assert first.count("-->") == 1 and first.endswith(" -->") and "\n" not in first and first.isascii()
    assert first != mark("bank", "drift", "other")
    found = title(signal(column=name), "bank")
    assert len(found) < 250 and "\n" not in found and found.count("`") == 2


def test_a_text_says_what_since_when_how_bad_and_what_to_do() -> None:
    text = written(signal(), "https://example.org/runs/1")
    for part in (
        "**high** · since window `2009-06-01`, last seen in `2009-06-14` (n = 1,000)",
        "| `2009-06-14` | alarm | 1.4 | 0.1 | 1,000 | `moved up by 0.4 sd` |",
        "xychart-beta",
        'y-axis "share of rows" 0 --> 1.54',
        "mainline monitor profile --since 2009-06-14 --until 2009-06-15",
        "`retrain-approved`",
        "`mute-until-",
        "The run's report: <https://example.org/runs/1>",
    ):
        assert part in text, part
    assert "`2009-06-02`" not in text, "only the newest windows are shown"
    assert same(compose(text), compose(written(signal()))) and not same(text, written(signal(windows=13)))


def test_a_text_fits_whatever_happened() -> None:
    # Not one signal has so much to say, but a summary may have many members.
    members = tuple(signal("ä" * 5_000, f"column {number}" * 20, 20) for number in range(400))
    points = tuple(Point(f"{day}", f"{day:03}", "alarm", 1_000, 400.0, 3.0, "ü" * 9_000) for day in range(30))
    text = written(Signal("columns", "", "columns", points, members))
    assert len(text.encode()) <= LARGEST and "and 360 more" in text
    assert read_state(text)["columns"] == ["*"] and "**What now?**" in text
    theirs = "é" * 20_000
    whole = compose(text, f"before\n{YOURS}\n{theirs}")
    assert len(whole) < 65_536 and whole.endswith(theirs) and whole.startswith(text.split("\n", 1)[0])


def test_what_the_state_keeps_comes_back() -> None:
    points = (
        Point("2009-06-01", "e1", "alarm", 300, 0.9, 0.3, "a --> <!-- b", "high"),
        Point("2009-06-02", "e2", "green"),
    )
    found = Signal("performance", "log_loss", "log_loss", points)
    text = written(found)
    assert read_points(text) == list(points) and read_state(text)["until"] == "e1"
    assert text.split("\n")[1].count("-->") == 1
    assert read_points(text.replace("\n", "\r\n")) == list(points)
    for spoilt in (
        "",
        "x",
        f"{text.split(chr(10))[0]}\n<!-- mainline:state [1] -->\n",
        text.replace('"state"', '"stat"'),
    ):
        assert read_points(spoilt) == []
