"""``mainline rollout`` and ``mainline rollback``: how a release gets its users, and how it loses them."""

from __future__ import annotations

from typing import Annotated

import typer

rollout = typer.Typer(help="How a release gets its users.", no_args_is_help=True, rich_markup_mode=None)

Environment = Annotated[str, typer.Option(help="production or staging")]
Mode = Annotated[str | None, typer.Option(help="canary, blue_green or ab; default: rollout.mode")]
Why = Annotated[str, typer.Option(help="why, for the ledger")]


@rollout.command("plan")
def rollout_plan(mode: Mode = None) -> None:
    """Print the steps that a rollout takes; for `ab` with the sample size that it needs."""
    from mainline.config import load_settings
    from mainline.console import say
    from mainline.rollout.here import plan_of
    from mainline.rollout.plan import describe

    for line in describe(plan_of(load_settings(), mode)):
        say(line)


@rollout.command("start")
def rollout_start(release: str, environment: Environment = "production", mode: Mode = None, why: Why = "") -> None:
    """Make a release the candidate; `run` or `tick` take it from there."""
    from mainline.config import load_settings
    from mainline.console import say
    from mainline.rollout.here import driver, plan_of

    state = driver(environment, "the rollout").start(release, plan_of(load_settings(), mode), why)
    say(f"{state.candidate} is tried in {environment}; `mainline rollout run` drives it", "pass")


@rollout.command("tick")
def rollout_tick(environment: Environment = "production") -> None:
    """Look once, decide and act. Exit code 0: it is over or goes on well, 3: hold, 1: aborted."""
    from mainline.console import say
    from mainline.rollout.here import driver
    from mainline.rollout.timeline import write_timeline

    of = driver(environment, "a step")
    tried = of.state().candidate
    tick = of.tick()
    if tried:
        write_timeline(of.journal(tried))
    say(f"{tick.outcome}: {tick.text}")
    raise typer.Exit({"abort": 1, "hold": 3}.get(tick.outcome, 0))


@rollout.command("run")
def rollout_run(
    environment: Environment = "production",
    forever: Annotated[bool, typer.Option("--forever", help="go on after it: look after stable, follow git")] = False,
) -> None:
    """Look again and again until the rollout is over; what serves goes on when this ends. Exit code 1: aborted."""
    from mainline.rollout.here import driver, run

    of = driver(environment, "the rollout")
    if forever:
        from mainline.ci.host import getter
        from mainline.rollout.host import Host, follow

        follow(Host(of, getter(of.deploy), of.rules.tick_seconds))
    raise typer.Exit(1 if run(of, of.rules.tick_seconds).outcome == "abort" else 0)


@rollout.command("status")
def rollout_status(environment: Environment = "production") -> None:
    """Print what git says, what runs, and whether they agree. Exit code 1 when they do not."""
    from mainline.rollout.here import controller, status

    raise typer.Exit(0 if status(controller(environment)) else 1)


@rollout.command("promote")
def rollout_promote(why: Why, environment: Environment = "production") -> None:
    """Make the candidate stable now, whatever the analysis says; the ledger says that a person did."""
    from mainline.console import say
    from mainline.rollout.here import driver

    say(driver(environment, "a promotion", "mainline rollout promote").end("promote", why).text, "pass")


@rollout.command("abort")
def rollout_abort(why: Why = "asked for", environment: Environment = "production") -> None:
    """Take the candidate's users away, then take it out."""
    from mainline.console import say
    from mainline.rollout.here import abort

    say(f"aborted: {abort(environment, why)}", "pass")


@rollout.command("rehearse")
def rollout_rehearse(
    release: Annotated[str | None, typer.Argument(help="default: the newest that does not serve")] = None,
    environment: Environment = "production",
    mode: Mode = None,
) -> None:
    """Drive a whole rollout with the following month's rows as real requests. Exit code 1 unless it is promoted."""
    from mainline.rollout.journal import FOLDER
    from mainline.rollout.rehearsal import rehearse, tell

    done = rehearse(release, environment, mode)
    tell(done, FOLDER)
    raise typer.Exit(0 if done.tick.outcome == "promote" else 1)


@rollout.command("stop")
def rollout_stop(environment: Environment = "production") -> None:
    """Stop proxy and services here; git keeps what should run, and `run` builds it up again."""
    from mainline.console import say
    from mainline.rollout.here import controller, stop

    names = stop(controller(environment))
    say(f"stopped: {', '.join(names) or 'nothing was running'}", "pass")


def rollback(
    to: Annotated[str | None, typer.Option(help="an earlier stable release; default: the one before")] = None,
    environment: Environment = "production",
    why: Why = "asked for",
) -> None:
    """Put the previous stable release back, and drop a candidate: no training, no build of what is there."""
    from mainline.console import say
    from mainline.rollout.here import back

    done = back(environment, to, why)
    where = "it serves" if done.live else "git says so; nothing runs here"
    say(f"{done.state.stable} is stable again instead of {done.left}: {where}", "pass")
    if done.dropped:
        say(f"{done.dropped} was being tried and is dropped; `mainline rollout abort` alone would have done that")
