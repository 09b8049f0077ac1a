"""The whole loop on this machine: traffic, alarm, issue, approval, retraining, verdict, release, rollout, watching on.

Every step is a command that a person or a workflow would run; only the traffic is replayed. Nothing is made to come out
well: a step that ends otherwise ends the loop, and that is said.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mainline import console
from mainline.config import Settings, load_settings
from mainline.errors import UserError
from mainline.files import read_json
from mainline.monitor.tracker import FOLDER as ISSUES
from mainline.monitor.tracker import Issue
from mainline.monitor.tracker_local import LocalTracker
from mainline.monitor.windows import Window, window_at
from mainline.release.store import STORE
from mainline.replay.stage import Clock, Stage, Stopped, interactive, make_stage
from mainline.retrain.approval import LABEL

ALARMS = ("WARNING", "DRIFT")
Report = Mapping[str, Any]


def run_loop(approver: str, root: Path = Path()) -> int:
    """Play the first window after the as-of date, and take what the monitor finds the whole way round.

    Returns 0 when the loop is closed or there was nothing to do, 3 when nobody approved, otherwise the code of the
    command that ended it.

    Raises:
        UserError: there is no clock, or nothing to play.
    """
    begun, clock = time.monotonic(), Clock()
    first, second = windows(load_settings(root / "params.yaml"))
    stage = make_stage(root)
    console.say(f"everything happens in {stage.folder}; your own work tree, branches and ledger stay as they are")
    try:
        code = _round(stage, clock, first, second, approver)
    except Stopped as stopped:
        console.say(f"the loop ends here: {stopped}", "fail")
        code = stopped.code
    finally:
        stage.mainline("rollout", "stop", codes=range(256))
    console.say(f"{time.monotonic() - begun:.0f} s; look around in {stage.folder}")
    return code


def windows(settings: Settings) -> tuple[Window, Window]:
    """Return the first two windows after the as-of date.

    Raises:
        UserError: there is no as-of date.
    """
    if settings.data.as_of is None or settings.data.time is None:
        raise UserError("params.yaml: data.as_of is null: nobody knows what is the future", "name a date")
    after = dt.datetime.combine(settings.data.as_of + dt.timedelta(days=1), dt.time(), dt.UTC)
    first = window_at(after, settings.monitor.window)
    return first, window_at(first.end, settings.monitor.window)


def _round(stage: Stage, clock: Clock, first: Window, second: Window, approver: str) -> int:
    clock.step("The champion serves")
    _champion(stage)
    clock.step(f"{first.name} comes in as live traffic; outcomes follow as late as they do")
    _play(stage, first)
    clock.step(f"On {first.end:%Y-%m-%d} the monitor looks")
    code = stage.mainline("monitor", "run", "--until", _day(first.end), codes=(0, 1, 3))
    if code != 1:
        console.say("calm: there is nothing to retrain for" if code == 0 else "it cannot be told", "pass")
        return code
    before = _report(stage)
    stage.mainline("monitor", "issues")
    issue = _issue(stage)

    clock.step(f"A person decides on issue {issue.number}: {issue.title}")
    console.say(f"{issue.url}")
    if not _approved(stage, issue, approver):
        console.say(f"nobody has approved: it stays open ({issue.url}); nothing retrains by itself", "warn")
        return 3
    clock.step("The model learns what is known by now, on a branch of its own")
    stage.mainline("retrain", "--issue", str(issue.number), "--as-of", f"{first.end - dt.timedelta(days=1):%Y-%m-%d}")
    branch = f"retrain/{issue.number}"
    stage.git("checkout", "--quiet", branch)
    stage.dvc("checkout", "--quiet")

    clock.step("Is it better than the champion, on the same rows?")
    stage.mainline("compare", "--against", "main")
    clock.step("Merged: released, and rolled out against the champion with replayed users")
    stage.git("checkout", "--quiet", "main")
    stage.git("merge", "--quiet", "--ff-only", branch)
    stage.mainline("release", "build")
    stage.mainline("rollout", "rehearse")

    clock.step(f"The new champion serves, {second.name} comes in, and the monitor looks on {second.end:%Y-%m-%d}")
    stage.mainline("rollout", "run")
    _play(stage, second)
    stage.mainline("monitor", "run", "--since", _day(second.start), "--until", _day(second.end), codes=(0, 1, 3))
    stage.mainline("monitor", "issues")
    _tell(before, _report(stage), first, second)
    return 0


def _champion(stage: Stage) -> None:
    source = ("--remote", stage.storage) if stage.storage else ()
    stage.dvc("pull", "--quiet", *source, "data.dvc", "replay.dvc")
    stage.dvc("repro", "--quiet")
    if stage.git("status", "--porcelain", "--", "dvc.lock"):
        raise UserError(
            "dvc.lock of the newest commit does not fit its code, data and params",
            "`make run` here, commit what it says, then `make replay` again",
        )
    stage.mainline("release", "build")
    (release,) = [path.name for path in (stage.folder / STORE).iterdir() if path.is_dir()]
    stage.mainline("rollout", "start", release)
    stage.mainline("rollout", "run")


def _play(stage: Stage, window: Window) -> None:
    stage.mainline("replay", "--since", _day(window.start), "--until", _day(window.end))


def _issue(stage: Stage) -> Issue:
    """Return the open issue that says most: that outcomes are worse, if there is one, else the newest."""
    opened = [issue for issue in LocalTracker(stage.folder / ISSUES).all() if issue.open]
    if not opened:
        raise Stopped("mainline monitor issues", 1)
    return next((issue for issue in opened if "performance" in issue.labels), opened[0])


def _approved(stage: Stage, issue: Issue, approver: str) -> bool:
    """Put the label on if somebody approves."""
    if not approver and interactive():
        approver = input("  Retrain? Your name approves it, Enter leaves it: ").strip()
    if not approver:
        return False
    tracker = LocalTracker(stage.folder / ISSUES)
    tracker.comment(issue.number, f"Retraining approved by {approver}.")
    tracker.update(issue.number, labels=(*issue.labels, LABEL))
    console.say(f"{approver} puts the label {LABEL} on issue {issue.number}", "pass")
    return True


def _report(stage: Stage) -> Report:
    settings = load_settings(stage.folder / "params.yaml")
    found: Report = read_json(stage.folder / settings.monitor.folder / "report.json")
    return found


def _tell(before: Report, after: Report, first: Window, second: Window) -> None:
    """Print what the monitor said before and after, side by side; whether that is calm is for the numbers to say."""
    lines = []
    for what, found in (
        ("verdict", [_window(item)["verdict"] for item in (before, after)]),
        ("rows", [f"{_window(item)['rows']:,}" for item in (before, after)]),
        ("columns that moved", [str(len(_alarms(item))) for item in (before, after)]),
        ("their largest effect", [_largest(item) for item in (before, after)]),
        ("performance", [str(item["performance"]["verdict"]) for item in (before, after)]),
        (f"{before['performance']['primary']}, realised", [_realised(item) for item in (before, after)]),
    ):
        lines.append((what, *found))
    columns = ("", f"{first.name}, old champion", f"{second.name}, new champion")
    console.table("Before and after", columns, lines)
    calm = _window(after)["verdict"] == "OK" and after["performance"]["verdict"] == "OK"
    if calm:
        console.say("calm: the new champion's window is OK", "pass")
    else:
        console.say("not calm: the monitor goes on saying what it sees, and the issue stays open", "warn")


def _window(report: Report) -> Mapping[str, Any]:
    """Return the newest window that was judged."""
    found: Mapping[str, Any] = report["windows"][-1]
    return found


def _alarms(report: Report) -> list[Mapping[str, Any]]:
    return [item for item in _window(report)["findings"] if item["verdict"] in ALARMS]


def _largest(report: Report) -> str:
    worst = max(_alarms(report), key=lambda item: item["effect"], default=None)
    return f"{worst['column']}: {worst['effect']:.2g} {worst['unit']}" if worst else "-"


def _realised(report: Report) -> str:
    performance = report["performance"]
    if not performance["realised"]:
        return "-"
    figures = performance["realised"]["metrics"][performance["primary"]]
    interval = f" ({figures['low']:.3f} to {figures['high']:.3f})" if figures["low"] is not None else ""
    return f"{figures['value']:.3f}{interval}" if figures["value"] is not None else "-"


def _day(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}"
