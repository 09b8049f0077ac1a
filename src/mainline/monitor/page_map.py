"""The heat map of columns by windows: the colour is the verdict, its depth the effect; what is unknown is hatched."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from mainline.evaluate.blocks import clean
from mainline.monitor.drift import Finding
from mainline.monitor.store import Kept
from mainline.monitor.verdict import ALARMS, GREEN

Kind = Literal["good", "hold", "bad", "blank"]
KINDS: Mapping[str, Kind] = {"OK": "good", "WARNING": "hold", "DRIFT": "bad"}
SIGNS: Mapping[str, str] = {"OK": "✓", "WARNING": "!", "DRIFT": "✗", "NO TRAFFIC": "∅", "STALE": "…"}
UNKNOWN = "?"
MOST = 36  # windows in the map, the newest ones
NAMES = 5  # of the windows, written above it
FULL = 1.0  # the effect (sd, or share of rows) at which a colour is at its deepest
# Goes into the page's own style; --good and the like are the page's colours.
STYLE = """
:root { --amber: #d99a00; }
@media (prefers-color-scheme: dark) {
  .map, .key { --good: #1f8a57; --amber: #a87a00; --bad: #c8382d; }
}
.plots:has(.map) { grid-template-columns: minmax(0, 1fr); }
.map { display: grid; grid-template-columns: minmax(4.5rem, 9rem) repeat(var(--n), minmax(0, 1fr)); gap: 2px; }
.map .at { font-size: .72rem; color: var(--soft); white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
@media (max-width: 40rem) {
  th, td { padding: .42rem .5rem; } td, td:first-child { min-width: 4rem; }
  td:nth-child(2):not(.n):not(:has(.badge)) { min-width: 14rem; }
}
.map .of { font-size: .84rem; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; padding-right: .3rem; }
.map i, .key i {
  font-style: normal; font-size: .75rem; line-height: 1.45rem; height: 1.45rem; text-align: center; overflow: hidden;
  border-radius: 3px; background: color-mix(in srgb, var(--c) var(--a), var(--sheet)); color: var(--ink);
  -webkit-print-color-adjust: exact; print-color-adjust: exact;
}
.map .good, .key .good { --c: var(--good); }
.map .hold, .key .hold { --c: var(--amber); }
.map .bad, .key .bad { --c: var(--bad); }
.map .blank, .key .blank {
  color: var(--soft); box-shadow: inset 0 0 0 1px var(--line);
  background: repeating-linear-gradient(45deg, var(--line) 0 2px, transparent 2px 6px);
}
.key { display: flex; flex-wrap: wrap; gap: .3rem 1rem; margin-top: .7rem; font-size: .82rem; color: var(--soft); }
.key i { display: inline-block; width: 1.45rem; margin-right: .35rem; --a: 60%; }
"""


@dataclass(frozen=True)
class Cell:
    """A field: how it is coloured, how deeply (0 to 1), what stands in it, and what the pointer shows."""

    kind: Kind
    strength: float
    sign: str
    tip: str


def cell_of(kept: Kept, finding: Finding | None) -> Cell:
    """Return the field of a column in a window; ``None``: the window has nothing on it.

    An alarm is an alarm in any window. Without one, a field is green only where both column and window are OK.
    """
    judged = kept.judged
    if finding is None:
        return Cell("blank", 0.0, SIGNS.get(judged.verdict, UNKNOWN), f"{judged.window}: {judged.verdict}")
    verdict: str = finding.verdict
    if verdict not in ALARMS and judged.verdict not in (*GREEN, *ALARMS):
        verdict = judged.verdict
    said = f": {finding.words}" if finding.words else ""
    tip = f"{finding.column}, {judged.window}: {verdict}, effect {finding.effect:.2g} {finding.unit}{said}".strip()
    kind = KINDS.get(verdict, "blank")
    # A broken contract is no matter of size.
    strength = 1.0 if finding.breaches else min(finding.effect / FULL, 1.0)
    return Cell(kind, strength, SIGNS.get(verdict, UNKNOWN) if kind != "good" else "", tip)


def window_cell(kept: Kept) -> Cell:
    """Return the field of a whole window."""
    judged = kept.judged
    kind = KINDS.get(judged.verdict, "blank")
    tip = f"{judged.window}: {judged.verdict}, {judged.rows:,} rows" + (f": {judged.reason}" if judged.reason else "")
    return Cell(kind, 0.6, SIGNS.get(judged.verdict, UNKNOWN), tip)


def columns_of(windows: Sequence[Kept]) -> list[str]:
    """Return every column that has a finding: those with most alarms first, then by name."""
    alarms: dict[str, int] = {}
    for kept in windows:
        for item in kept.judged.findings:
            alarms[item.column] = alarms.get(item.column, 0) + (item.verdict in ALARMS)
    return sorted(alarms, key=lambda name: (-alarms[name], name))


def fields(windows: Sequence[Kept]) -> list[tuple[str, list[Cell]]]:
    """Return the lines of the map: the windows themselves, then each column."""
    found = [("window", [window_cell(kept) for kept in windows])]
    by_column = [{item.column: item for item in kept.judged.findings} for kept in windows]
    for name in columns_of(windows):
        cells = [cell_of(kept, known.get(name)) for kept, known in zip(windows, by_column, strict=True)]
        found.append((name, cells))
    return found


def heat_map(windows: Sequence[Kept]) -> str:
    """Return the map of the newest ``MOST`` windows as HTML, with its key; every text is escaped."""
    shown = list(windows[-MOST:])
    every = max(1, -(-len(shown) // NAMES))
    parts = ["<span></span>"]
    for start in range(0, len(shown), every):
        span = min(every, len(shown) - start)
        parts.append(f'<span class="at" style="grid-column:span {span}">{_text(shown[start].judged.window)}</span>')
    for name, cells in fields(shown):
        parts.append(f'<span class="of" title="{_text(name)}">{_text(name)}</span>')
        parts += [_field(cell) for cell in cells]
    return f'<div class="map" style="--n:{len(shown)}">{"".join(parts)}</div>{_key()}'


def _field(cell: Cell) -> str:
    depth = f"{15 + 60 * cell.strength:.0f}%"
    return f'<i class="{cell.kind}" style="--a:{depth}" title="{_text(cell.tip)}">{cell.sign}</i>'


def _key() -> str:
    entries = (
        ("good", "", "OK"),
        ("hold", SIGNS["WARNING"], "WARNING"),
        ("bad", SIGNS["DRIFT"], "DRIFT"),
        ("blank", UNKNOWN, "INSUFFICIENT DATA"),
        ("blank", SIGNS["NO TRAFFIC"], "NO TRAFFIC"),
        ("blank", SIGNS["STALE"], "STALE"),
    )
    words = "".join(f'<span><i class="{kind}">{sign}</i>{name}</span>' for kind, sign, name in entries)
    return f'<div class="key">{words}</div>'


def _text(value: str) -> str:
    return html.escape(clean(value))
