"""The workflow `monitor`, step by step: what is there to watch, watch it, and say how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mainline.ci.heartbeat import summary
from mainline.ci.monitor_champion import FACTS, champion, put_facts
from mainline.ci.monitor_demo import play
from mainline.ci.monitor_state import Kind, restore
from mainline.ci.production import have_replay
from mainline.config import load_settings
from mainline.console import error, say
from mainline.errors import UserError
from mainline.monitor.commands import Options
from mainline.monitor.run import run
from mainline.paths import MODEL
from mainline.release.ledger import Deploy

DEMO = Path(".mainline", "demo")
REPORT = Path("reports", "monitor.md")
WORDS = {
    0: "all is well",
    1: "an alarm stands: the open issues say which",
    3: "it cannot be told whether all is well",
}


@dataclass(frozen=True)
class Begun:
    """What is watched: where the log is, whose state it continues, and the moment it ends at (ISO; empty: now)."""

    kind: Kind
    log: str
    until: str


def begin(deploy: Deploy, log: str, demo: str, root: Path = Path()) -> Begun:
    """Put state and champion's facts in place, and with ``demo`` a log to watch; return what is watched.

    Raises:
        UserError: the champion's files cannot be had, or there is nothing to play.
    """
    kind: Kind = "demo" if demo else "log"
    known = restore(deploy, kind, root / load_settings().monitor.folder)
    commit, release = champion(deploy, root)
    put_facts(commit, (*FACTS, MODEL) if demo else FACTS, root)
    say(f"{known} windows known; champion: {release or 'no release yet, the model of'} {commit[:12]}", "pass")
    if not demo:
        return Begun(kind, log.strip(), "")
    have_replay(root)
    end = play(demo, root / DEMO, release, root)
    return Begun(kind, DEMO.as_posix(), end.isoformat())


def watch(log: str, until: str, again: str = "") -> int:
    """Watch what has not been watched, and the windows ``again`` once more; return the code of `mainline monitor run`.

    Raises:
        UserError: the log or the champion's files cannot be read: nothing is known then.
    """
    return run(Options(place=log, until=until, again=again), None)


def conclude(code: str, environment: Mapping[str, str] = os.environ) -> int:
    """Show the report on the run's page, and return the exit code of the whole run.

    Raises:
        UserError: the step that watches left no code.
    """
    if code not in map(str, WORDS):
        raise UserError(f"CODE: {code!r} is no code of the step that watches", "see that step")
    words = WORDS[int(code)]
    body = REPORT.read_text(encoding="utf-8") if REPORT.is_file() else "The report is in the log of this run.\n"
    summary(f"## Monitoring: {words}\n\n{body}", environment)
    if code == "0":
        say(words, "pass")
    else:
        error(words)
    return int(code)
