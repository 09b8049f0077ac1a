"""How often the drift rule cries wolf, and what it finds: measured on the example's training rows.

`python scripts/monitor_power.py` prints the tables of docs/monitoring.md (`--write`: puts them there). Every window is
drawn at random from the training rows, and so is the reference: nothing changes but what is planted. Next to it, on the
same windows, the usual rule: "KS (or chi-square) p < 0.05, or population stability index >= 0.2".
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mainline.config import Monitor, Settings, load_settings
from mainline.console import any_terminal
from mainline.data.profile import Bins, Profile, count, make_bins
from mainline.files import write_atomic
from mainline.monitor.drift import Finding, judge
from mainline.train.reference import MARGIN, SCORE

QUANTILES = 50  # as mainline.stages
PAGE = Path("docs/monitoring.md")
Rng = np.random.Generator
Fault = Callable[[pd.Series, Rng], pd.Series]


@dataclass(frozen=True)
class World:
    """A population, and a reference drawn from it; windows are counted by the bin of each row, worked out once."""

    rows: pd.DataFrame
    bins: Mapping[str, Bins]
    reference: Profile
    reference_rows: pd.DataFrame
    codes: Mapping[str, np.ndarray]

    @classmethod
    def draw(cls, rows: pd.DataFrame, size: int, rng: Rng) -> World:
        """Return a world whose reference is ``size`` rows of ``rows``, drawn with replacement as the windows are."""
        reference = rows.iloc[rng.integers(0, len(rows), size)].reset_index(drop=True)
        bins = make_bins(reference, list(rows.columns), QUANTILES, MARGIN)
        return cls(rows, bins, count(reference, bins), reference, {name: code(rows[name], bins[name]) for name in bins})

    def window(self, chosen: np.ndarray, column: str = "", values: pd.Series | None = None) -> Profile:
        """Return the profile of the rows ``chosen``, with other ``values`` in ``column`` if these are given."""
        counts = {
            name: np.bincount(codes[chosen], minlength=len(self.reference.counts[name]))
            for name, codes in self.codes.items()
        }
        profile = Profile(len(chosen), dict(self.bins), counts)
        if values is None:
            return profile
        one = count(values.to_frame(column), {column: self.bins[column]})
        return Profile(len(chosen), dict(self.bins), {**counts, column: one.counts[column]}, one.unseen)


def code(values: pd.Series, bins: Bins) -> np.ndarray:
    """Return the index of the bin of each row."""
    missing = values.isna().to_numpy()
    if bins.values is None:
        where = np.searchsorted(np.asarray(bins.edges), values.to_numpy(dtype=float), side="left")
        return np.where(missing, len(bins.edges) + 1, where)
    where = pd.Index(bins.values).get_indexer(pd.Index(values.astype("str")))
    return np.where(missing, len(bins.values) + 1, np.where(where < 0, len(bins.values), where))


def naive(reference: pd.DataFrame, window: pd.DataFrame) -> dict[str, bool]:
    """Return which columns "KS or chi-square p < 0.05, or PSI >= 0.2" flags; missing values are left out, as usual."""
    from scipy.stats import chi2_contingency, ks_2samp

    flags = {}
    for name in reference:
        left, right = reference[name].dropna(), window[name].dropna()
        if pd.api.types.is_numeric_dtype(left):
            p = ks_2samp(left, right, method="asymp").pvalue
            edges = np.unique(np.quantile(left, np.linspace(0, 1, 11)[1:-1]))
            shares: list[Any] = [
                np.bincount(np.searchsorted(edges, part), minlength=len(edges) + 1) for part in (left, right)
            ]
        else:
            names = sorted({*left.unique(), *right.unique()})
            shares = [part.value_counts().reindex(names, fill_value=0).to_numpy() for part in (left, right)]
            p = chi2_contingency(np.vstack(shares)).pvalue if len(names) > 1 else 1.0
        before, now = (np.maximum(part / part.sum(), 1e-4) for part in shares)
        flags[str(name)] = bool(p < 0.05 or ((now - before) * np.log(now / before)).sum() >= 0.2)
    return flags


def sequence(world: World, rules: Monitor, size: int, windows: int, rng: Rng) -> list[list[Finding]]:
    """Return the findings of ``windows`` windows in a row, in a world where nothing changes."""
    found: list[list[Finding]] = []
    for _ in range(windows):
        profile = world.window(rng.integers(0, len(world.rows), size))
        found.append(judge(world.reference, profile, rules, found))
    return found


def alarmed(findings: Sequence[Finding]) -> bool:
    """Return whether any column is WARNING or DRIFT."""
    return any(item.verdict in ("WARNING", "DRIFT") for item in findings)


def episodes(found: Sequence[Sequence[Finding]]) -> int:
    """Return how many issues these windows open: one for each column that becomes DRIFT and was not before."""
    opened, before = 0, set[str]()
    for findings in found:
        now = {item.column for item in findings if item.verdict == "DRIFT"}
        opened += len(now - before)
        before = now
    return opened


def false_alarms(
    rows: pd.DataFrame, rules: Monitor, sizes: Sequence[int], seeds: int, windows: int, compare: bool = True
) -> list[dict[str, Any]]:
    """Return one record a size: shares of windows with an alarm and with DRIFT, issues a sequence, the naive rule."""
    table = []
    for size in sizes:
        alarms, drifts, issues, flagged = 0, 0, 0, 0
        for seed in range(seeds):
            rng = np.random.default_rng([seed, size])
            world = World.draw(rows, len(rows), rng)
            found = sequence(world, rules, size, windows, rng)
            alarms += sum(alarmed(findings) for findings in found)
            drifts += sum(any(item.verdict == "DRIFT" for item in findings) for findings in found)
            issues += episodes(found)
            if compare:
                flagged += any(naive(world.reference_rows, rows.iloc[rng.integers(0, len(rows), size)]).values())
        total = seeds * windows
        table.append(
            {
                "size": size,
                "windows": total,
                "alarms": alarms / total,
                "drift": drifts / total,
                "issues": issues / seeds,
                "naive": flagged / seeds if compare else None,
            }
        )
    return table


def wobble(rows: pd.DataFrame, rules: Monitor, size: int, sd: float, seeds: int, windows: int) -> dict[str, float]:
    """Return share of windows with an alarm, and issues a sequence, when every column moves a little in each window.

    Rows are drawn with chances tilted by exp(sum of d * z), d from N(0, ``sd``) for each column and window, z the
    column in standard units (a text: a random number for each value): a mean moves by about d standard deviations.
    """
    alarms = issues = 0
    for seed in range(seeds):
        rng = np.random.default_rng([seed, 11])
        world = World.draw(rows, len(rows), rng)
        standard = np.column_stack([_standard(rows[name], rng) for name in rows])
        found: list[list[Finding]] = []
        for _ in range(windows):
            tilt = np.exp(standard @ rng.normal(0, sd, standard.shape[1]))
            profile = world.window(rng.choice(len(rows), size, p=tilt / tilt.sum()))
            found.append(judge(world.reference, profile, rules, found))
        alarms += sum(alarmed(findings) for findings in found)
        issues += episodes(found)
    return {"sd": sd, "size": size, "alarms": alarms / seeds / windows, "issues": issues / seeds}


def _standard(values: pd.Series, rng: Rng) -> np.ndarray:
    numbers = values
    if not pd.api.types.is_numeric_dtype(values):
        numbers = values.astype("str").map({name: rng.normal() for name in sorted(values.astype("str").unique())})
    spread = float(numbers.std()) or 1.0
    return ((numbers - numbers.mean()) / spread).clip(-3, 3).to_numpy(dtype=float)


def faults() -> dict[str, tuple[str, Fault]]:
    """Return the planted faults: name, column, and what happens to its values."""

    def some(share: float, change: Callable[[pd.Series], Any]) -> Fault:
        return lambda values, rng: values.mask(rng.random(len(values)) < share, change(values))

    def rename(share: float) -> Fault:
        return lambda values, rng: values.mask(
            values.eq("cellular") & (rng.random(len(values)) < share), values.str.upper()
        )

    return {
        "mean + 0.1 sd (age)": ("age", lambda values, _: values + 0.1 * values.std()),
        "mean + 0.2 sd (age)": ("age", lambda values, _: values + 0.2 * values.std()),
        "mean + 0.5 sd (age)": ("age", lambda values, _: values + 0.5 * values.std()),
        "spread × 1.2 (age)": ("age", lambda values, _: values.mean() + 1.2 * (values - values.mean())),
        "missing 0 → 5 % (age)": ("age", some(0.05, lambda values: np.nan)),
        "cellular → CELLULAR, 1 % of it": ("contact", rename(0.01)),
        "cellular → CELLULAR, 10 % of it": ("contact", rename(0.1)),
        "cellular → CELLULAR, all of it": ("contact", rename(1.0)),
        "new job, 1 % of rows": ("job", some(0.01, lambda values: "astronaut")),
        "unit × 100 on 1 % of rows (age)": ("age", some(0.01, lambda values: values * 100)),
        "two codes swapped (housing)": ("housing", lambda values, _: values.map({"yes": "no", "no": "yes"})),
    }


def detection(
    rows: pd.DataFrame, rules: Monitor, sizes: Sequence[int], runs: int, windows: int, compare: bool = True
) -> list[dict[str, Any]]:
    """Return one record a fault and size: share of runs with DRIFT in its column, and mean windows until then."""
    table = []
    for name, (column, fault) in faults().items():
        for size in sizes:
            delays, flagged, warned = [], 0, 0
            for seed in range(runs):
                rng = np.random.default_rng([seed, size, 7])
                world = World.draw(rows, len(rows), rng)
                past: list[list[Finding]] = []
                early = False
                for number in range(1, windows + 1):
                    chosen = rng.integers(0, len(rows), size)
                    values = fault(rows[column].iloc[chosen].reset_index(drop=True), rng)
                    past.append(judge(world.reference, world.window(chosen, column, values), rules, past))
                    verdict = next(item.verdict for item in past[-1] if item.column == column)
                    early = early or verdict == "WARNING"
                    if number == 1 and compare:
                        flagged += naive(world.reference_rows[[column]], values.to_frame(column))[column]
                    if verdict == "DRIFT":
                        delays.append(number)
                        break
                warned += early
            table.append(
                {
                    "fault": name,
                    "size": size,
                    "found": len(delays) / runs,
                    "delay": float(np.mean(delays)) if delays else None,
                    "warned": warned / runs,
                    "naive": flagged / runs if compare else None,
                }
            )
    return table


def is_worse(y: np.ndarray, score: np.ndarray, expected: float, settings: Settings, seed: int) -> bool:
    """Return whether the monitor says WORSE of these outcomes, by log loss."""
    from mainline.evaluate.bootstrap import intervals
    from mainline.evaluate.metrics import metrics_for
    from mainline.monitor.performance import judge as judge_outcomes

    metric = metrics_for("binary")["log_loss"]
    low, high = intervals(y, score, {"log_loss": metric}, 200, 0.95, seed)["log_loss"] or (None, None)
    found = {"rows": len(y), "metrics": {"log_loss": {"value": metric.function(y, score), "low": low, "high": high}}}
    return judge_outcomes(found, metric, expected, settings)[0] == "WORSE"


def concept(rows: pd.DataFrame, settings: Settings, sizes: Sequence[int], runs: int) -> list[dict[str, Any]]:
    """Return how often flipped outcomes are WORSE (realised log loss), and how often drift saw them, by window size.

    Outcomes follow the scores, so the champion is calibrated until the flip; inputs do not change at all.
    """
    score = rows[SCORE].to_numpy(dtype=float)
    expected = float(-(score * np.log(score) + (1 - score) * np.log(1 - score)).mean())
    table = []
    for share in (0.0, 0.05, 0.1, 0.2):
        for size in sizes:
            worse = drifted = 0
            for seed in range(runs):
                rng = np.random.default_rng([seed, size, 13])
                world = World.draw(rows, len(rows), rng)
                chosen = rng.integers(0, len(rows), size)
                y = (rng.random(size) < score[chosen]).astype(int)
                y = np.where(rng.random(size) < share, 1 - y, y)
                worse += is_worse(y, score[chosen], expected, settings, seed)
                drifted += alarmed(judge(world.reference, world.window(chosen), settings.monitor))
            table.append({"flipped": share, "size": size, "worse": worse / runs, "drift": drifted / runs})
    return table


def late_labels(
    rows: pd.DataFrame,
    settings: Settings,
    sizes: Sequence[int],
    runs: int,
    shares: Sequence[float] = (0.05, 0.1, 0.2, 0.5),
    delay: int = 30,
    days: int = 90,
) -> list[dict[str, Any]]:
    """Return after how many daily windows a flip of outcomes is WORSE, when labels come ``delay`` days late.

    The log holds the newest ``settings.serve.log.keep_days`` days; the flip comes when it is full. Each day, all
    outcomes that are known by then are judged together, as `mainline monitor run` does; so those from before the flip
    count, too. The usual rule looks at the same windows' inputs.
    """
    score = rows[SCORE].to_numpy(dtype=float)
    expected = float(-(score * np.log(score) + (1 - score) * np.log(1 - score)).mean())
    kept = settings.serve.log.keep_days or days
    table = []
    for share in shares:
        for size in sizes:
            found, flagged, before = [], 0, 0
            for seed in range(runs):
                rng = np.random.default_rng([seed, size, 17])
                chosen = rng.integers(0, len(rows), (kept + days, size))  # day 0 of the flip is row ``kept``
                y = (rng.random(chosen.shape) < score[chosen]).astype(int)
                y[kept:] = np.where(rng.random((days, size)) < share, 1 - y[kept:], y[kept:])
                reference = rows.iloc[rng.integers(0, len(rows), len(rows))]
                flagged += any(naive(reference, rows.iloc[chosen[kept]]).values())

                calls = []
                for day in range(-1, days):
                    known = slice(day + 1, kept + day - delay + 1)
                    calls.append(is_worse(y[known].ravel(), score[chosen[known]].ravel(), expected, settings, seed))
                    if calls[-1] and day >= 0:
                        found.append(day + 1)
                        break
                before += calls[0]
            table.append(
                {
                    "flipped": share,
                    "size": size,
                    "before": before / runs,
                    "found": len(found) / runs,
                    "delay": float(np.mean(found)) if found else None,
                    "naive": flagged / runs,
                }
            )
    return table


def late_table(rows: pd.DataFrame, settings: Settings, runs: int) -> str:
    """Return the measurement of late labels as Markdown."""
    lines = [
        [percent(line["flipped"]), f"{line['size']:,}", percent(line["before"]), percent(line["found"]),
         f"{line['delay']:.1f}" if line["delay"] else "", percent(line["naive"])]
        for line in late_labels(rows, settings, [100, 1000], runs)
    ]  # fmt: skip
    head = ["flipped", "rows a day", "WORSE before the flip", "found in 90 days", "days until then", "usual rule"]
    return markdown(head, lines)


def population(folder: Path = Path("artifacts")) -> pd.DataFrame:
    """Return the training rows with the columns that the profile has, the champion's scores among them."""
    from mainline.project import load_project, scores
    from mainline.train.artifact import load_model

    settings = load_settings()
    project = load_project(settings.project)
    rows = pd.read_parquet(folder / "train.parquet")
    model = load_model(folder / "model.skops", project.trusted)
    columns = [name for name in project.columns if name not in settings.features.drop]
    found = np.round(scores(model, rows), 6)
    return rows[columns].assign(**{SCORE: found}).reset_index(drop=True)


def markdown(head: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table."""
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, ["---"] * len(head), *lines]) + "\n"


def percent(share: float | None) -> str:
    """Return a share in words; small ones with a digit more."""
    return "" if share is None else f"{share:.0%}" if share in (0, 1) or share >= 0.1 else f"{share:.1%}"


def put(page: Path, name: str, text: str) -> None:
    """Write ``text`` between the marks ``<!-- name -->`` and ``<!-- end name -->`` of a page."""
    before, rest = page.read_text(encoding="utf-8").split(f"<!-- {name} -->\n", 1)
    _, after = rest.split(f"<!-- end {name} -->", 1)
    write_atomic(page, f"{before}<!-- {name} -->\n{text}<!-- end {name} -->{after}")


def tables(options: argparse.Namespace, rows: pd.DataFrame, settings: Settings) -> str:
    """Measure everything and return it as Markdown."""
    rules = settings.monitor
    calm = [
        [f"{line['size']:,}", f"{line['windows']:,}", percent(line["alarms"]), percent(line["drift"]),
         f"{line['issues']:.2f}", percent(line["naive"])]
        for line in false_alarms(rows, rules, options.sizes, options.seeds, 30)
    ]  # fmt: skip
    harmless = []
    for sd, effect in ((0.02, rules.effect), (0.05, rules.effect), (0.1, rules.effect), (0.05, 0.2), (0.1, 0.2)):
        line = wobble(rows, rules.model_copy(update={"effect": effect}), 10_000, sd, 10, 30)
        harmless.append([f"{sd:g} sd", f"{effect:g}", percent(line["alarms"]), f"{line['issues']:.1f}"])
    planted = []
    found = detection(rows, rules, [1000, 10_000], options.runs, 5)
    for small, large in zip(found[::2], found[1::2], strict=True):
        cells = [
            [percent(line["found"]), f"{line['delay']:.1f}" if line["delay"] else "", percent(line["naive"])]
            for line in (small, large)
        ]
        planted.append([small["fault"], *cells[0], *cells[1]])
    flips = [
        [percent(line["flipped"]), f"{line['size']:,}", percent(line["worse"]), percent(line["drift"])]
        for line in concept(rows, settings, [300, 1000, 10_000], options.runs)
    ]
    each = ["found", "windows until then", "usual rule"]
    return "\n".join(
        [
            f"Nothing changes ({options.seeds} worlds of 30 windows each, {rows.shape[1]} columns, "
            f"{len(rows):,} rows in the reference):\n",
            markdown(
                ["rows a window", "windows", "WARNING or DRIFT", "DRIFT", "issues in 30 windows", "usual rule"], calm
            ),
            "Every column wobbles a little from window to window (10 worlds of 30 windows, 10,000 rows each):\n",
            markdown(["wobble", "`monitor.effect`", "windows with an alarm", "issues in 30 windows"], harmless),
            f"One fault is planted ({options.runs} worlds, up to 5 windows; windows of 1,000 rows, then of 10,000):\n",
            markdown(["fault", *each, *each], planted),
            f"Inputs stay, outcomes are flipped ({options.runs} worlds, one window each):\n",
            markdown(["flipped", "labelled rows", "performance WORSE", "drift alarm"], flips),
        ]
    )


def main() -> None:
    """Print the tables, or write them into the page."""
    any_terminal()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=50)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--sizes", type=int, nargs="+", default=[100, 500, 1000, 10_000, 100_000])
    parser.add_argument("--write", action="store_true", help=f"into {PAGE}")
    parser.add_argument("--only", choices=["late-labels"], help="this table alone")
    options = parser.parse_args()
    rows, settings = population(), load_settings()
    made = {} if options.only else {"power": tables(options, rows, settings)}
    made["late-labels"] = late_table(rows, settings, options.runs)
    for name, text in made.items():
        if options.write:
            put(PAGE, name, text)
        else:
            print(text)


if __name__ == "__main__":
    main()
