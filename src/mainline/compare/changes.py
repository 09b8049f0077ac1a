"""What a pull request changes besides the model: data, params, gates, features, dependencies, schema, code."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from mainline.compare.verdict import Reason
from mainline.config import Compare, Task
from mainline.evaluate.metrics import metrics_for

ORDER = {"distribution": ("off", "warn", "stop"), "late_rows": ("accept", "refuse")}
# Bounds from below: smaller is looser. All others are bounds from above. null is looser than any number.
DOWN = ("alpha", "min_rows")


def flat(params: Any, key: str = "") -> dict[str, Any]:
    """Return nested ``params`` with dotted keys; an empty mapping and a list are values."""
    if not isinstance(params, Mapping) or not params:
        return {key: params} if key else {}
    found: dict[str, Any] = {}
    for name, value in params.items():
        found |= flat(value, f"{key}.{name}" if key else str(name))
    return found


def params_diff(before: Any, after: Any) -> list[dict[str, Any]]:
    """Return the keys whose value differs, sorted; None stands for a key that is not there."""
    old, new = flat(before), flat(after)
    return [
        {"key": key, "before": old.get(key), "after": new.get(key)}
        for key in sorted(old.keys() | new.keys())
        if key not in old or key not in new or _differ(old[key], new[key])
    ]


def gates_diff(before: Any, after: Any, task: Task) -> list[dict[str, Any]]:
    """Return the changed keys that decide what passes, and whether each is now looser."""
    # A key that is absent has its default, so that leaving it out is no way to hide what it becomes.
    defaults = Compare().model_dump()
    old, new = ({**side, "compare": defaults | (side.get("compare") or {})} for side in (before, after))
    found = []
    for change in params_diff(old, new):
        judge = _judge(change["key"], task)
        if judge is not None:
            found.append({**change, "looser": judge(change["before"], change["after"])})
    return found


def _judge(key: str, task: Task) -> Callable[[Any, Any], bool] | None:
    """Return the function that tells whether a bound became looser; None for a key that is no bound."""
    room, _, rest = key.partition(".")
    last = key.rpartition(".")[2]
    if room == "gates" and rest.split(".")[0] in ("floors", "slice_floors"):
        metric = metrics_for(task).get(last)
        higher = metric is not None and metric.better == "higher"
        return _looser_down if higher else _looser_up
    if key == "evaluate.primary":
        return lambda before, after: True  # another measure decides: nothing says that it is as strict
    if key == "evaluate.min_rows":
        return _looser_up
    if key == "evaluate.level":
        return _looser_down
    if room not in ("gates", "compare") and not key.startswith("data.checks."):
        return None
    if last in ORDER:
        return lambda before, after: _rank(last, after) < _rank(last, before)
    if last == "rule":
        return lambda before, after: after != "superior"
    if last in DOWN:
        return _looser_down
    return _looser_up


def _looser_up(before: Any, after: Any) -> bool:
    return after is None or (before is not None and _number(before) and _number(after) and after > before)


def _looser_down(before: Any, after: Any) -> bool:
    return after is None or (before is not None and _number(before) and _number(after) and after < before)


def _rank(name: str, value: Any) -> int:
    return ORDER[name].index(value) if value in ORDER[name] else -1


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _differ(before: Any, after: Any) -> bool:
    return bool(before != after) or isinstance(before, bool) != isinstance(after, bool)


def data_diff(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, Any]:
    """Return what two validation.json say of the data; without the champion's every batch counts as added."""
    old = {item["file"]: item["sha256"] for item in (before or {}).get("batches", [])}
    new = {item["file"]: item["sha256"] for item in after.get("batches", [])}
    keys = ("column", "effect", "bound", "verdict", "gained")
    return {
        "rows_before": None if before is None else before.get("rows"),
        "rows_after": after.get("rows"),
        "batches_added": sorted(new.keys() - old.keys()),
        "batches_removed": sorted(old.keys() - new.keys()),
        "batches_changed": sorted(name for name in new.keys() & old.keys() if new[name] != old[name]),
        "drift": [{key: item.get(key) for key in keys} for item in after.get("distribution", [])],
    }


def feature_diff(before: Mapping[str, Any] | None, after: Mapping[str, Any]) -> dict[str, list[str]]:
    """Return the raw columns that two training.json differ in."""
    new = list(after.get("columns", []))
    old = new if before is None else list(before.get("columns", []))
    return {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
    }


def dependency_diff(before: str | None, after: str | None) -> list[dict[str, Any]]:
    """Return the packages whose locked versions differ, by name."""
    old, new = _locked(before), _locked(after)
    return [
        {"package": name, "before": old.get(name), "after": new.get(name)}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]


def _locked(text: str | None) -> dict[str, str]:
    """Return the versions of requirements.lock; a package with several (one a platform) has them all in one text."""
    found: dict[str, list[str]] = {}
    for name, version in re.findall(r"^([A-Za-z0-9][\w.\-]*)(?:\[[^\]]*\])?==([^\s;\\]+)", text or "", re.MULTILINE):
        found.setdefault(name.lower(), []).append(version)
    return {name: ", ".join(sorted(versions)) for name, versions in found.items()}


def notes(changes: Mapping[str, Any]) -> list[Reason]:
    """Return what a reviewer must see whatever the verdict: bounds that became looser, batches that changed or went."""
    found = [
        Reason(
            "note",
            "changed gate",
            f"{item['key']}: from {_shown(item['before'])} to {_shown(item['after'])}: this change loosens a gate",
        )
        for item in changes["gates"]
        if item["looser"]
    ]
    data = changes["data"]
    for kind in ("removed", "changed"):
        if names := data[f"batches_{kind}"]:
            found.append(Reason("note", "changed data", f"batches {kind}: {_listed(names)}"))
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _shown(value: Any) -> str:
    return "off" if value is None else str(value)
