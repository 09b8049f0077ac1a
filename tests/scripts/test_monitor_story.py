"""The months that the tutorial tells are those that docs/monitoring.md holds, as the script wrote them."""

from __future__ import annotations

from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def months(text: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line[:4] == "| 20"]


def test_the_tutorial_tells_the_figures_of_the_measurement() -> None:
    story = (DOCS / "monitoring.md").read_text(encoding="utf-8").split("<!-- story -->")[1].split("<!-- end story")[0]
    old, new = ({row[0]: row for row in months(half)} for half in story.split("Retrained at"))
    told = months((DOCS / "tutorial.md").read_text(encoding="utf-8"))
    first, after = [row for row in told if len(row) == 7], [row for row in told if len(row) == 4]
    assert len(old) == 18 and len(new) == 15 and len(first) == 7 and len(after) == 4
    for month, rows, fired, against, positives, loss, verdict in first:
        row = old[month]
        assert [rows, against, positives, loss, verdict] == [row[1], row[4], row[5], row[6], row[8]], month
        listed = row[3].split("; ")
        assert int(fired) == len(listed[:3]) + int(listed[3].split()[0]), month
    for month, losses, euros, verdict in after:
        realised = [row[6].split(" / ")[1].split()[0] for row in (old[month], new[month])]
        assert losses.split(" / ") == realised and euros.split(" / ") == [old[month][9], new[month][9]], month
        assert verdict == new[month][8]
    confirmed = [row for row in old.values() if row[2] == "DRIFT" and row[8] == "WORSE"]
    assert len(confirmed) == 17 and old["2010-11"][8] == "INSUFFICIENT DATA"
    assert all(float(new[name][6].split(" / ")[1][:4]) < float(old[name][6].split(" / ")[1][:4]) for name in new)
