from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest

from mainline.evaluate.charts import (
    MOST_POINTS,
    Interval,
    Series,
    heat_map,
    interval_chart,
    label_of,
    line_chart,
    span,
    ticks,
)

HOSTILE = '</svg><script>alert("x")</script>\x00&'


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def line(svg: str, tag: str) -> list[ElementTree.Element]:
    return list(parsed(svg).iter(tag))


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.0, 0.38, [0.0, 0.1, 0.2, 0.3]),
        (-63000, 17000, [-60000, -40000, -20000, 0]),
        (1e-9, 2e-9, [1e-9, 1.2e-9, 1.4e-9, 1.6e-9, 1.8e-9, 2e-9]),
    ],
)
def test_ticks_are_round_and_inside(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("value", "words"), [(0.0, "0"), (-0.0, "0"), (0.25, "0.25"), (1200, "1,200"), (2.5e6, "2.5M"), (1e-6, "1e-06")]
)
def test_tick_labels(value: float, words: str) -> None:
    assert label_of(value) == words


@pytest.mark.parametrize("values", [[], [None], [math.nan], [3.0, 3.0], [0.0], [-1.0, math.inf]])
def test_a_range_is_never_empty(values: list[float | None]) -> None:
    for low, high in (span(values), span(values, zero=True)):
        assert math.isfinite(low) and math.isfinite(high) and low < high
        assert len(ticks(low, high)) > 1


def test_higher_values_are_drawn_higher_and_to_the_right() -> None:
    svg = line_chart("t", [Series("a", [0, 1], [0.0, 1.0], "both")], x_label="x", y_label="y")
    first, second = line(svg, "circle")
    assert float(first.attrib["cx"]) < float(second.attrib["cx"])
    assert float(first.attrib["cy"]) > float(second.attrib["cy"])


def test_a_missing_value_breaks_the_line() -> None:
    svg = line_chart("t", [Series("a", [0, 1, 2, 3, 4], [1.0, 2.0, None, 3.0, math.nan])], x_label="x", y_label="y")
    assert len(line(svg, "polyline")) == 1, "a single point is no line"
    svg = line_chart("t", [Series("a", [0, 1, 2, 3, 4], [1.0, 2.0, None, 3.0, 4.0])], x_label="x", y_label="y")
    assert len(line(svg, "polyline")) == 2


def test_many_points_are_thinned_but_the_ends_stay() -> None:
    x = [float(index) for index in range(10_000)]
    svg = line_chart("t", [Series("a", x, x)], x_label="x", y_label="y", x_range=(0, 9999), y_range=(0, 9999))
    points = line(svg, "polyline")[0].attrib["points"].split()
    assert len(points) <= MOST_POINTS + 1
    assert points[-1].startswith("446,"), "the last point touches the right edge"


def test_values_outside_the_range_stay_inside_the_picture() -> None:
    svg = line_chart(
        "t", [Series("a", [-5, 5], [9.0, -9.0], "both")], x_label="x", y_label="y", x_range=(0, 1), y_range=(0, 1)
    )
    for dot in line(svg, "circle"):
        assert 0 <= float(dot.attrib["cx"]) <= 460 and 0 <= float(dot.attrib["cy"]) <= 400


def test_interval_chart_shows_value_interval_and_reference() -> None:
    rows = [Interval("a", 0.5, 0.4, 0.6), Interval("b", 0.7, faint=True, note="9 rows")]
    svg = interval_chart("t", rows, label="AUC", reference=(0.55, "all rows"))
    assert "0.500" in svg and "0.700" in svg and "dashed: all rows" in svg and "9 rows" in svg
    assert len([item for item in line(svg, "line") if "bar" in item.attrib["class"]]) == 1


def test_heat_map_shades_by_share_of_the_row() -> None:
    svg = heat_map("t", ["a", "b"], [[9, 1], [0, 0]])
    shades = [float(item.attrib["fill-opacity"]) for item in line(svg, "rect")]
    assert shades[0] > shades[1] > shades[2] == shades[3], "an empty row divides by nothing"


def test_text_from_data_cannot_become_markup() -> None:
    pictures = [
        line_chart(
            HOSTILE, [Series(HOSTILE, [0], [1.0], "both")] * 2, x_label=HOSTILE, y_label=HOSTILE, names=[HOSTILE]
        ),
        interval_chart(HOSTILE, [Interval(HOSTILE, 1.0, note=HOSTILE)], label=HOSTILE, reference=(1.0, HOSTILE)),
        heat_map(HOSTILE, [HOSTILE], [[1]]),
    ]
    for svg in pictures:
        assert not line(svg, "script") and "<script" not in svg and "\x00" not in svg
