"""``mainline replay``: read the future, plant faults, play it, and say what came of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from mainline import console
from mainline.config import Settings, load_settings
from mainline.errors import UserError
from mainline.files import read_json
from mainline.monitor.commands import moment
from mainline.paths import TRAINING
from mainline.replay.client import Http, api_key, started
from mainline.replay.events import Event, events, read_future
from mainline.replay.faults import apply, parse
from mainline.replay.player import MOST_RATE, Pace, Played, check_clock, play

FOLDER = Path(".mainline", "replay")
SHOWN = 5


@dataclass(frozen=True)
class Options:
    """What is played, against what, how fast.

    Attributes:
        place: batch file or folder.
        since, until: ISO dates or times of the replay, UTC.
        faults: see :mod:`mainline.replay.faults`.
        port: of the service; 0: the one that the rollout keeps.
        start: start a service on the working tree's outputs instead, with the log ``log``.
        rate: most requests a second.
        speed: replayed days a second; None: only the rate counts.
        now: everything happens now.
    """

    place: Path = Path("replay")
    since: str = ""
    until: str = ""
    faults: tuple[str, ...] = ()
    port: int = 0
    start: bool = False
    log: Path = FOLDER / "log"
    rate: float = 200.0
    speed: float | None = None
    now: bool = False
    seed: int = 0


def replay(options: Options) -> int:
    """Play, print what came of it, and return 0; 1 when an answer was neither a prediction nor a refusal.

    Raises:
        UserError: nothing can be played, or nobody answers.
    """
    if not 0 < options.rate <= MOST_RATE:
        raise UserError(f"--rate {options.rate:g}", f"more than 0 and at most {MOST_RATE:g} requests a second")
    if options.speed is not None and options.speed <= 0:
        raise UserError(f"--speed {options.speed:g}", "more than 0 days a second")
    settings = load_settings()
    found = to_play(options, settings)
    if not found:
        raise UserError(
            f"{options.place}: nothing happens between {options.since or 'its begin'} and {options.until or 'its end'}",
            "look at --since and --until",
        )
    own = started(FOLDER / "processes", options.log) if options.start else nullcontext(options.port or _port(settings))
    with own as port:
        client = Http(port, api_key(settings.serve.api_key_env))
        if not options.now:
            check_clock(client, port)
        requests = sum(item.kind == "predict" for item in found)
        console.say(
            f"{requests:,} requests and {len(found) - requests:,} outcomes, {found[0].when:%Y-%m-%d} to "
            f"{found[-1].when:%Y-%m-%d}, to 127.0.0.1:{port}"
        )
        for text in options.faults:
            console.say(f"planted: {text}", "warn")
        with _progress(len(found)) as each:
            played = play(found, client, Pace(options.rate, options.speed), now=options.now, each=each)
    show(played)
    if options.start:
        end = f" --until {options.until}" if options.until else ""
        console.say(f"log: {options.log}; `mainline monitor run {options.log}{end}` says what it means")
    return 1 if played.failed or played.unwanted else 0


def to_play(options: Options, settings: Settings) -> list[Event]:
    """Return everything that happens, in order, faults included."""
    columns = [str(name) for name in read_json(TRAINING)["columns"]]
    future = read_future(options.place, settings, columns)
    numbers = [name for name in columns if future.rows[name].dtype.kind in "iuf"]
    texts = [name for name in columns if name not in numbers]
    planted = [parse(text, numbers, texts) for text in options.faults]
    rows = apply(future.rows, planted, options.seed)
    return events(rows, future.columns, moment(options.since, "--since"), moment(options.until, "--until"))


def show(played: Played) -> None:
    """Print counts; what was refused is told with the reason."""
    by = ", ".join(f"{name or 'nobody'} {count:,}" for name, count in sorted(played.releases.items()))
    console.say(f"{played.requests:,} requests: {played.answered:,} predicted" + (f" by {by}" if by else ""), "pass")
    _some("refused (422): the service caught", played.refused, "warn", played.hints)
    _some("failed", played.failed, "fail", {})
    late = f"; {played.withheld:,} belong to refused requests and were not sent" if played.withheld else ""
    console.say(f"{played.outcomes:,} outcomes taken{late}", "pass" if played.outcomes else "none")
    _some("outcomes not taken", played.unwanted, "fail", {})


def _some(what: str, counts: Counter[str], mark: console.Mark, hints: dict[str, str]) -> None:
    if not counts:
        return
    console.say(f"{counts.total():,} {what}", mark)
    for words, count in counts.most_common(SHOWN):
        hint = f"; {hints[words]}" if words in hints else ""
        console.say(f"  {count:,} × {words}{hint}")
    if len(counts) > SHOWN:
        console.say(f"  and {len(counts) - SHOWN} other reasons")


@contextmanager
def _progress(total: int) -> Iterator[Callable[[int, Event, Played], None] | None]:
    """Show a bar with the replayed day at a terminal; nothing elsewhere."""
    out = console.out()
    if not out.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TextColumn

    with Progress(TextColumn("{task.description}"), BarColumn(), console=out, transient=True) as bar:
        task = bar.add_task("", total=total)

        def each(number: int, event: Event, played: Played) -> None:
            if number % 10 == 0 or number == total:
                words = f"{event.when:%Y-%m-%d}  {played.answered:,} predicted  {played.refused.total():,} refused  "
                bar.update(task, completed=number, description=f"{words}{played.outcomes:,} outcomes")

        yield each


def _port(settings: Settings) -> int:
    """Return the port of the proxy that the rollout keeps.

    Raises:
        UserError: none runs.
    """
    from mainline.rollout.plane import FOLDER as KEPT
    from mainline.rollout.processes import Processes, alive

    known = [item for item in Processes(KEPT / "processes").of("proxy") if alive(item)]
    if known:
        return known[0].port
    raise UserError(
        "nothing serves here", "`mainline rollout run` starts what serves; or use --start, or --port of a service"
    )
