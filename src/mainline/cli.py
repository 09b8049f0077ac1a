"""``mainline``: one command a step. It parses arguments and calls; nothing else happens here."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from mainline.cli_ci import ci, github
from mainline.cli_doctor import doctor, github_labels
from mainline.cli_kubernetes import kubernetes
from mainline.cli_lock import lock
from mainline.cli_log import log
from mainline.cli_monitor import monitor
from mainline.cli_release import registry, release, trace
from mainline.cli_replay import replay
from mainline.cli_retrain import retrain
from mainline.cli_rollout import rollback, rollout
from mainline.cli_score import score
from mainline.cli_serve import serve
from mainline.numerics import pin, restart_if_masked


class Commands(typer.core.TyperGroup):
    """Runs a command; a user's mistake ends with its message and exit code 1, never with a traceback."""

    def invoke(self, ctx: Any) -> Any:
        """Return what the command returns."""
        from mainline.errors import UserError
        from mainline.keys import prepare

        pin()
        try:
            prepare()
            return super().invoke(ctx)
        except UserError as mistake:
            from mainline.console import error

            error(str(mistake))
            raise typer.Exit(1) from None


app = typer.Typer(
    cls=Commands,
    help="From batches to a champion, one command a step. The pipeline calls them in order: `dvc repro`.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(ci, name="ci")
github.command("labels")(github_labels)
app.add_typer(github, name="github")
app.add_typer(kubernetes, name="kubernetes")
app.command()(serve)
app.add_typer(lock, name="lock")
app.add_typer(log, name="log")
app.command()(score)
app.add_typer(release, name="release")
app.add_typer(registry, name="registry")
app.add_typer(rollout, name="rollout")
app.command()(trace)
app.command()(rollback)
app.add_typer(monitor, name="monitor")
app.command()(replay)
app.command()(retrain)
app.command()(doctor)


@app.command()
def validate() -> None:
    """Check every batch: schema, keys, clock, freshness, distribution of the newest. Exit code 1 on any violation."""
    from mainline.stages import run_validate

    raise typer.Exit(0 if run_validate() else 1)


@app.command()
def split() -> None:
    """Cut the rows into training and test by time, with the label delay honoured."""
    from mainline.stages import run_split

    run_split()


@app.command()
def train() -> None:
    """Fit features, estimator and calibration on the training rows; write model and reference profile."""
    from mainline.stages import run_train

    run_train()


@app.command()
def evaluate() -> None:
    """Measure the model on the test rows: metrics, slices, calibration, value, behaviour, fairness, gates."""
    from mainline.stages import run_evaluate

    run_evaluate()


@app.command()
def card() -> None:
    """Write the model card and record the run in MLflow."""
    from mainline.stages import run_card

    run_card()


@app.command()
def repro() -> None:
    """Run the pipeline, as `dvc repro` does; data that are not fit to train on do not get into their .dvc file."""
    from mainline.repro import repro as run_pipeline

    raise typer.Exit(run_pipeline())


@app.command()
def summary() -> None:
    """Print data, model, metrics and gates of the last run. Exit code 1 when a gate is not passed."""
    from mainline.summary import show

    raise typer.Exit(0 if show() else 1)


@app.command()
def latency() -> None:
    """Measure how long the model takes for one row and for a thousand."""
    from mainline.summary import show_latency

    show_latency()


@app.command()
def compare(
    against: Annotated[
        str, typer.Option(help="branch, tag or commit that pins the champion; default: origin/main, else main")
    ] = "",
) -> None:
    """Hold the model of the last run against the champion, on the same rows; write verdict and report.

    Exit code 0: promote. 1: reject (or a mistake that stopped the comparison: then there is no verdict.json). 3: hold,
    it cannot be told.
    """
    from mainline.compare.run import run_compare

    raise typer.Exit(run_compare(against))


@app.command()
def deliver() -> None:
    """Take the committed run to the champion that serves: verdict, release, canary with the following month's rows.

    Uncommitted changes end with their verdict, and with the command that commits them. Exit code: that of what stopped.
    """
    from mainline.deliver import deliver as whole_way

    raise typer.Exit(whole_way())


@app.command(hidden=True)
def predict(
    rows: Annotated[Path, typer.Argument(help="raw rows, as Parquet")],
    out: Annotated[Path, typer.Argument(help="where the predictions go, as .npy")],
    latency: Annotated[Path | None, typer.Option(help="measure the latency as well, into this JSON file")] = None,
) -> None:
    """Score rows with the model, code and params of the working directory."""
    from mainline.compare.scoring import predict_rows

    predict_rows(rows, out, latency)


@app.command()
def remote(
    url: Annotated[str, typer.Argument(help="s3://…, gs://…, azure://…, ssh://… or a folder")] = "",
    endpoint_url: Annotated[str, typer.Option(help="address of an S3-compatible server")] = "",
    verify: Annotated[bool, typer.Option("--verify", help="only read every object back and compare")] = False,
) -> None:
    """Move the data to storage of your own, verify it there, and make that the default."""
    from mainline.console import say
    from mainline.remote import move
    from mainline.remote import verify as read_back

    for step in read_back() if verify else move(url, endpoint_url=endpoint_url or None):
        say(step, "pass")


def main() -> None:
    """Run the command line, in a process whose numeric kernels can be pinned."""
    restart_if_masked()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has a "✓"; stderr escapes by itself
    app()


if __name__ == "__main__":
    main()
