"""The last run on one screen: data, model, metrics, gates, and where everything is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mainline import console
from mainline.config import load_settings
from mainline.paths import CARD_PAGE, EVALUATION, MODEL, TEST, read_inputs

if TYPE_CHECKING:
    from mainline.evaluate.gates import Gate
    from mainline.evaluate.latency import Latency


def show() -> bool:
    """Print the summary and return whether every gate is passed; the latency is measured here and now."""
    from mainline.evaluate.gates import absolute_gates

    settings = load_settings()
    inputs = read_inputs()
    evaluation, split, training = inputs["evaluation"], inputs["split"], inputs["training"]
    gates = absolute_gates(evaluation, settings.gates, measure_latency().single_ms)
    validation = inputs["validation"]
    clock = f", as of {split['as_of']}" if split["as_of"] else ""
    console.table("", ("", ""), [
        ("data", f"{validation['rows']:,} rows in {len(validation['batches'])} batches{clock}"),
        ("train", _window(split["train"])),
        ("test", _window(split["test"])),
        ("model", f"{training['project']}: {len(training['columns'])} features, {training['estimator']}, "
                  f"{training['calibration']['method']} calibration, {evaluation['size_mb'] * 1000:,.0f} kB ({MODEL})"),
        ("value", _value(evaluation["threshold"])),
    ])  # fmt: skip
    _show_metrics(evaluation)
    _show_gates(gates)
    for sentence in [*inputs["validation"]["lost"], *split["lost"], *evaluation["lost"]]:
        console.say(sentence, "warn")
    failed = [gate for gate in gates if not gate.passed]
    for gate in failed:
        console.annotate("error", f"gate {gate.gate} not passed: {gate.value} {gate.note}", str(EVALUATION))
    console.say(f"{len(gates) - len(failed)} of {len(gates)} gates passed", "fail" if failed else "pass")
    console.say(f"model card: {CARD_PAGE}")
    return not failed


def show_latency() -> None:
    """Print how long the model of the last run takes on this machine."""
    found, budget = measure_latency(), load_settings().gates.latency_ms
    words = "no budget" if budget is None else f"budget {budget:g} ms"
    kept = budget is None or found.single_ms <= budget
    console.say(f"one row: {found.single_ms:.2f} ms (median; {words})", "pass" if kept else "fail")
    console.say(f"in blocks of 1,000 rows: {found.per_row_ms_at_1000 * 1000:.1f} µs a row")


def measure_latency() -> Latency:
    """Return the latency of the model of the last run on its own test rows."""
    from threadpoolctl import threadpool_limits

    from mainline.data.split import read_rows
    from mainline.evaluate.latency import measure
    from mainline.project import load_project
    from mainline.train.artifact import load_model

    project = load_project(load_settings().project)
    with threadpool_limits(1):
        return measure(load_model(MODEL, project.trusted), read_rows(TEST))


def _window(part: dict[str, Any]) -> str:
    dates = f", {part['from']} to {part['to']}" if part["from"] else ""
    return f"{part['rows']:,} rows{dates}"


def _value(threshold: dict[str, Any] | None) -> str:
    if threshold is None:
        return "no value declared"
    return (
        f"acting from a score of {threshold['value']:g} brings {threshold['total']:,.0f} {threshold['unit']} "
        f"on the test rows (on all: {threshold['act_on_all']:,.0f}, on none: {threshold['act_on_none']:,.0f})"
    )


def _show_metrics(evaluation: dict[str, Any]) -> None:
    level = f"{evaluation['level']:.0%} interval"
    rows = [
        (name, _number(found["value"]), f"{_number(found['low'])} … {_number(found['high'])}",
         _number(evaluation["baseline"].get(name)), f"{found['better']} is better")
        for name, found in evaluation["metrics"].items()
    ]  # fmt: skip
    console.table("Metrics on the test rows", ("metric", "value", level, "constant", ""), rows, right=(1, 2, 3))


def _show_gates(gates: list[Gate]) -> None:
    signs = {True: "✓", False: "✗"}
    rows = [
        (signs[gate.passed], gate.gate, _number(gate.value), f"{gate.direction} {_number(gate.bound)}", gate.note)
        for gate in gates
    ]
    console.table("Gates", ("", "gate", "value", "bound", ""), rows, right=(2,))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"
