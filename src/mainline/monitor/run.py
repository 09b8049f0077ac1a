"""``mainline monitor run``: drift, performance and service levels at once, and the report that the next steps read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mainline import console
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.files import read_json, write_json
from mainline.monitor.commands import Looked, Options, Report, drift_code, look_at, performance, performance_code
from mainline.monitor.late import Late, still
from mainline.monitor.levels import Level, levels
from mainline.monitor.store import Kept, Store


def run(options: Options, labels: Path | None) -> int:
    """Watch drift, performance and service levels; write report.json to ``monitor.folder``; return the worst code.

    The report is about the windows that this run has watched. If none has ended since, it stays with those of the last
    one, which stand until there are new ones: nothing new is neither well nor ill.
    """
    settings = load_settings()
    looked = look_at(options)
    path = Path(settings.monitor.folder) / "report.json"
    before, kept = _last(path, looked.store), looked.store.all()
    names = [item.judged.window for item in looked.done] or [item["window"] for item in before.get("windows", ())]
    windows = standing(names, kept)
    if windows and not looked.done:
        judged = windows[-1].judged
        console.say(f"what was watched last stands: {judged.window}: {judged.verdict}, {judged.rows:,} rows")
    report = performance(options, labels, None)
    met = levels([item.watched for item in windows], settings.monitor, windows[-1].end) if windows else []
    for level in met:
        console.say(f"{level.name}: {level.words}", "pass" if level.met else "none" if level.met is None else "fail")
    write_json(path, _report(looked, windows, report, met, _late(before, looked, kept)))
    console.say(f"report ({path})", "none")
    codes = [
        drift_code(windows[-1:]) if windows else 3,
        performance_code(report),
        1 if any(level.met is False for level in met) else 0,
    ]
    return 1 if 1 in codes else max(codes)


def standing(told: Sequence[str], kept: Sequence[Kept]) -> list[Kept]:
    """Return the kept windows from the first that is ``told`` on; if none of them is kept, the newest."""
    found = [item for item in kept if told and item.judged.window >= min(told)]
    return found or list(kept[-1:])


def _report(
    looked: Looked, windows: Sequence[Kept], report: Report, met: Sequence[Level], grown: Sequence[Late]
) -> Report:
    store = looked.store
    return {
        "windows": [item.judged.to_dict() for item in windows],
        "performance": report,
        "levels": [level.__dict__ for level in met],
        "late": [item.to_dict() for item in grown],
        "store": {"reference": store.reference, "length": store.length, "scope": store.scope},
    }


def _late(before: Report, looked: Looked, kept: Sequence[Kept]) -> list[Late]:
    """Return what came late, now or before, for windows that have not been watched again."""
    found = {item.window: item for item in [*still(before, kept), *looked.late]}
    return [found[name] for name in sorted(found)]


def _last(path: Path, store: Store) -> Report:
    """Return the last report if it is about the same windows; one that cannot be read holds nothing to keep."""
    try:
        found = read_json(path) if path.exists() else {}
    except UserError as error:
        console.warn(f"{error}: it is made anew")
        return {}
    mine = {"reference": store.reference, "length": store.length, "scope": store.scope}
    return dict(found) if isinstance(found, dict) and found.get("store") == mine else {}
