"""The words of an issue that do not come from data: titles, likely causes, what a person can do."""

from __future__ import annotations

from collections.abc import Mapping

from mainline.config import Monitor
from mainline.monitor.alarms import Kind, Signal
from mainline.monitor.tracker import LABEL

APPROVED = "retrain-approved"
TITLES: Mapping[Kind, str] = {
    "columns": "Many columns changed at once",
    "contract": "Broken contract: {}",
    "drift": "Drift: {}",
    "score": "Drift of the predictions: {}",
    "performance": "The model has become worse: {}",
    "level": "Service level missed: {}",
    "silence": "No predictions arrive",
}
LABELS: Mapping[Kind, tuple[str, ...]] = {
    "columns": ("drift",),
    "contract": ("drift",),
    "drift": ("drift",),
    "score": ("drift",),
    "performance": ("performance",),
    "level": (),
    "silence": (),
}
CAUSES: Mapping[str, str] = {
    "unseen": "upstream renamed a value or added one",
    "missing": "upstream stopped filling the field, or began to",
    "range": "upstream changed a unit or a scale, or writes a placeholder such as 9999",
    "columns": "one upstream event (a source, a join, a filter, a release of the caller) rather than many changes",
    "drift": "the clients are others than those of the training rows, or a field is filled in another way",
    "score": "the inputs moved (see their issues), or another release answers",
    "performance": "the same inputs now lead to other outcomes: no drift of inputs shows that; or the labels changed",
    "latency": "more load, larger requests, or a slower release",
    "volume": "callers went elsewhere, or were refused (4xx in the service's /metrics)",
    "silence": "the service or its callers stopped, or the log is no longer written or shipped",
}
DATA = ("columns", "contract", "drift", "score", "performance")


def labels(kind: Kind) -> tuple[str, ...]:
    """Return the labels that an issue of that kind is opened with."""
    return (LABEL, *LABELS[kind])


def causes(signal: Signal, of: tuple[str, ...]) -> list[str]:
    """Return the likely causes; ``of`` are the kinds of breaches of the newest alarm."""
    if signal.kind == "contract":
        return [CAUSES[kind] for kind in of if kind in CAUSES]
    return [CAUSES[key] for key in (signal.column if signal.kind == "level" else signal.kind,) if key in CAUSES]


def ways(kind: Kind, rules: Monitor) -> list[str]:
    """Return what a person can do, by what they find; one line of Markdown each."""
    calm = f"This issue closes itself after {rules.clean_windows} windows that are OK."
    noise = (
        f"**Noise, or known?** Put the label `mute` on ({rules.mute_days} days), or `mute-until-2030-01-31`: "
        "until then nothing is written here."
    )
    if kind not in DATA:
        service = "**The service?** Look at `mainline monitor run` and at its `/metrics`; `make rollback` goes back."
        return [service, f"**Meant so?** Change the bound in `params.yaml` (`monitor`). {calm}", noise]
    return [
        f"**A fault in the data?** Mend it upstream. The model must not learn it, so do not retrain. {calm}",
        f"**The world has changed?** Put the label `{APPROVED}` on (who may write to this repository): a pull request "
        "then trains on the newer rows, and its verdict decides as always.",
        noise,
    ]


def command(signal: Signal, since: str, until: str, release: str) -> str:
    """Return the command that shows the same figures; MAINLINE_LOG or an argument says where the log is."""
    span = f" --since {since} --until {until}" if since and until else ""
    only = f" --release {release}" if release else ""
    if signal.kind == "performance":
        return f"mainline monitor performance{only}"
    if signal.kind == "level":
        return f"mainline monitor run{only}"
    return f"mainline monitor profile{span}{only}"
