"""How often the verdict is wrong on the example: equal models that it rejects, and worse ones that it lets through.

    python scripts/power.py          # after `dvc repro`; minutes

A/A: the example's model fitted again, 50 times with another seed and 50 times on training rows drawn with replacement.
The first are the same model if the estimator does not use its seed; the second differ as much as two training sets of
the same size from the same world would.

The gates are the real ones on everything that depends on the model's predictions. Those on files and on the machine
(lock, remote, latency and so on) are taken as passed: a model is judged here, not a machine.

Power: main's own predictions made worse by twice ``compare.margin`` in the primary metric, in 50 draws with replacement
of rows of the test window, by the gate of the primary metric alone.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

    from mainline.compare.bound import Bound
    from mainline.compare.verdict import Outcome, Verdict
    from mainline.config import Settings
    from mainline.project import Project

Floats = NDArray[np.float64]
Fault = Callable[[Floats, float, np.random.Generator], Floats]
DRAWS = 50
SIZES = (777, 2000, 7361)  # test rows: the tutorial's window, one between, the example's


@dataclass(frozen=True)
class Window:
    """The example: training and test rows, their outcomes ``(n,)``, and main's predictions for the test rows."""

    project: Project
    settings: Settings
    training: dict[str, Any]
    train: pd.DataFrame
    target: NDArray[Any]
    rows: pd.DataFrame
    y: NDArray[Any]
    champion: Floats


def example() -> Window:
    """Return the example as the last `dvc repro` has left it.

    Raises:
        UserError: the pipeline has not run.
    """
    from mainline.config import load_settings
    from mainline.data.split import read_rows
    from mainline.data.target import encode
    from mainline.evaluate.run import score_rows
    from mainline.files import read_json
    from mainline.paths import MODEL, TEST, TRAIN, TRAINING
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    settings, training = load_settings(), read_json(TRAINING)
    project = load_project(settings.project)
    train, rows = read_rows(TRAIN), read_rows(TEST)
    found = score_rows(rows, load_model(MODEL, project.trusted), settings, training)
    target = np.asarray(encode(train, settings, tuple(training["classes"])))
    return Window(project, settings, training, train, target, rows, found.y, found.score)


def refits(window: Window, draws: int, resampled: bool) -> Iterator[Any]:
    """Yield models fitted as main's was: on rows drawn anew (in order of time), or with another seed."""
    from mainline.train.fit import fit

    for seed in range(draws):
        model = window.settings.model.model_copy(update={"seed": seed})
        settings = window.settings.model_copy(update={"model": model})
        if not resampled:
            yield fit(window.train, window.target, window.project, settings).model
            continue
        size = len(window.train)
        chosen = np.sort(np.random.default_rng([seed, 1]).integers(size, size=size))
        rows = window.train.iloc[chosen].reset_index(drop=True)
        yield fit(rows, window.target[chosen], window.project, window.settings).model


def judge(window: Window, model: Any) -> Verdict:
    """Return the verdict on ``model`` against main's, on the test window."""
    from mainline.compare.gates import absolute
    from mainline.compare.measured import champion_evaluation
    from mainline.evaluate.gates import model_gates
    from mainline.evaluate.run import evaluate
    from mainline.project import scores

    settings = window.settings
    numbers = _numbers(window, window.rows, window.y, window.champion, scores(model, window.rows))
    mine = evaluate(window.rows, model, window.project, settings, window.training, 10_000, resamples=100)
    theirs = model_gates(champion_evaluation(numbers, settings.model.task), settings.gates)
    gates = model_gates(mine, settings.gates)
    return _decide(window, numbers, absolute(gates, theirs, numbers, settings.compare, settings.evaluate.primary))


def shaken(logit: Floats, size: float, generator: np.random.Generator) -> Floats:
    """Return logits with noise of standard deviation ``size``: a worse ranking."""
    return logit + size * generator.standard_normal(len(logit))


def lowered(logit: Floats, size: float, generator: np.random.Generator) -> Floats:
    """Return every logit lower by ``size``: the same ranking, every chance too small."""
    return logit - size


def stretched(logit: Floats, size: float, generator: np.random.Generator) -> Floats:
    """Return logits ``1 + size`` times as far from their mean: the same ranking, chances that say too much."""
    return np.asarray(logit.mean() + (logit - logit.mean()) * (1 + size))


FAULTS: dict[str, Fault] = {"scores shaken": shaken, "every chance too low": lowered, "chances too bold": stretched}


def worse_by(window: Window, fault: Fault, loss: float) -> Floats:
    """Return main's predictions spoiled by as much of ``fault`` as costs ``loss`` of the primary metric.

    Raises:
        ValueError: no amount of it costs that much.
    """
    from mainline.evaluate.metrics import metrics_for

    metric = metrics_for(window.settings.model.task)[window.settings.evaluate.primary]
    logit = np.log(window.champion / (1 - window.champion))

    def spoiled(size: float) -> Floats:
        return np.asarray(1 / (1 + np.exp(-fault(logit, size, np.random.default_rng(0)))))

    def cost(size: float) -> float:
        values = [metric.function(window.y, score) for score in (window.champion, spoiled(size))]
        return float(metric.badness(values[1]) - metric.badness(values[0]))

    low, high = 0.0, 64.0
    if cost(high) < loss:
        raise ValueError(f"the fault never costs {loss:g} of {metric.name}")
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if cost(middle) < loss else (low, middle)
    return spoiled(high)


def power(window: Window, challenger: Floats, size: int, draws: int) -> list[Outcome]:
    """Return what the gate of the primary metric alone says of ``challenger``, ``draws`` times, on ``size`` test rows
    drawn with replacement. The other gates can only add to what it stops.
    """
    from mainline.compare.gates import primary_gate
    from mainline.compare.paired import differences
    from mainline.evaluate.metrics import metrics_for

    settings, name = window.settings, window.settings.evaluate.primary
    metric = {name: metrics_for(settings.model.task)[name]}
    found: list[Outcome] = []
    for seed in range(draws):
        chosen = np.random.default_rng([seed, 2]).integers(len(window.y), size=size)
        scores = (window.champion[chosen], challenger[chosen])
        worse = differences(window.y[chosen], scores, metric, settings)[name]["worse"]
        level = primary_gate(worse, settings.compare, name).level
        found.append("reject" if level == "reject" else "hold" if level else "promote")
    return found


def _numbers(window: Window, rows: pd.DataFrame, y: NDArray[Any], before: Floats, after: Floats) -> dict[str, Any]:
    from mainline.compare.paired import compared

    same = {"latency": {"champion_ms": 1.0, "challenger_ms": 1.0}, "size": {"champion_mb": 0.01, "challenger_mb": 0.01}}
    return compared(rows, y, before, after, window.project, window.settings) | same


def _decide(window: Window, numbers: dict[str, Any], own: list[Bound]) -> Verdict:
    from mainline.compare.bound import Bound
    from mainline.compare.gates import relative
    from mainline.compare.verdict import ALWAYS, COMPARED, decide

    gates = [*own, *relative(numbers, window.settings.compare, window.settings.evaluate.primary)]
    known = {gate.gate.split(": ")[0] for gate in gates}
    rest = [Bound(name, 0.0, 0.0, "<=", True, "taken as passed", None) for name in (*ALWAYS, *COMPARED)]
    return decide("compared", "", [*gates, *(gate for gate in rest if gate.gate not in known)])


def _line(name: str, found: Sequence[Outcome], why: str = "") -> str:
    counts = Counter(found)
    shares = "  ".join(f"{key} {counts[key]:>3}" for key in ("promote", "hold", "reject"))
    return f"{name:<44} {shares}   {why}".rstrip()


def _why(found: list[Verdict]) -> str:
    gates = Counter(reason.gate for item in found for reason in item.reasons if reason.level in ("reject", "hold"))
    return ", ".join(f"{gate} {count}" for gate, count in gates.most_common())


def main() -> None:
    """Print the counts of promote, hold and reject, and the gates behind them."""
    from mainline.errors import UserError

    try:
        window = example()
    except UserError as mistake:
        sys.exit(f"mainline: {mistake}")
    primary, rules = window.settings.evaluate.primary, window.settings.compare
    print(f"A/A on {len(window.y):,} test rows, {DRAWS} models each")
    for name, resampled in (("another seed", False), ("training rows drawn anew", True)):
        found = [judge(window, model) for model in refits(window, DRAWS, resampled)]
        print(_line(name, [item.verdict for item in found], _why(found)), flush=True)
    loss = 2 * rules.margin
    print(f"Power against a challenger that is worse by {loss:g} of {primary}, {DRAWS} draws each")
    for name, fault in FAULTS.items():
        spoiled = worse_by(window, fault, loss)
        for size in SIZES:
            print(_line(f"{name}, n = {size:,}", power(window, spoiled, size, DRAWS)), flush=True)


if __name__ == "__main__":
    main()
