"""Training in a pull request's run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import yaml

from mainline import dvc
from mainline.ci.event import git
from mainline.ci.plan import stale_stages
from mainline.compare.champion import cache_folder
from mainline.console import say
from mainline.errors import UserError
from mainline.files import write_json
from mainline.github import KEYS
from mainline.objects import data_outputs, expand, intact, stage_outputs
from mainline.remote import is_embedded

SECONDS = 6 * 3600.0
SHOWN = 5


def train(*, push: bool, root: Path = Path()) -> bool:
    """Bring the pipeline's outputs in line with code, data and params; return whether ``dvc.lock`` changed.

    With ``push`` the outputs go to the default remote, unless that is the one inside the repository. A lock that
    claimed to fit must come out as it went in.

    Raises:
        UserError: data are missing from the remote, a stage failed, a lock that fits gave other hashes, or the push
            failed. The verdict of an earlier run is gone in every case; reports/stopped.json has the reason, for the
            report.
    """
    for name in ("verdict.json", "report.md", "report.html", "pull_request.json", "stopped.json"):
        (root / "reports" / name).unlink(missing_ok=True)
    try:
        return _train(push=push, root=root)
    except UserError as error:
        write_json(root / "reports" / "stopped.json", {"problem": error.problem, "fix": error.fix})
        raise


def _train(*, push: bool, root: Path) -> bool:
    stale = stale_stages(root)
    say(f"dvc.lock does not fit: {', '.join(stale)}" if stale else "dvc.lock fits code, data and params")
    embedded = is_embedded(root)
    _pull_data(root)
    before = {output.path: output.oid for output in stage_outputs(root)}
    if not stale and not embedded:
        # What the remote lacks is made again below, and must come out the same.
        dvc.run(["pull", "--quiet", "--allow-missing"], root, SECONDS)
    _repro(root)
    after = {output.path: output.oid for output in stage_outputs(root)}
    if not stale and after != before:
        other = ", ".join(
            f"{path} ({before.get(path)} → {oid})" for path, oid in after.items() if before.get(path) != oid
        )
        raise UserError(
            f"dvc.lock: not reproducible: a run of the same code, data and params gave other bytes: {other}",
            "`make run` in the locked environment, then commit dvc.lock; or, when this runner has another kind of "
            "processor than yours, `git checkout origin/main -- dvc.lock` and push: the run then writes the lock",
        )
    if push and not embedded:
        done = dvc.run(["push", "--quiet", "dvc.yaml"], root, SECONDS)
        if done.returncode != 0:
            raise UserError(
                f"the outputs were not pushed to the remote: {dvc.said(done.stderr)}",
                "check the key of the remote in the repository's secrets, and `mainline remote --verify`",
            )
        say("the outputs are in the remote", "pass")
    return before != after or bool(git(["status", "--porcelain", "--", "dvc.lock"], root=root))


def _pull_data(root: Path) -> None:
    """Fetch the batches that a stage depends on; those nobody asks for stay where they are."""
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8")) or {}
    wanted = {str(item) for stage in (pipeline.get("stages") or {}).values() for item in stage.get("deps", [])}
    outputs = [output for output in data_outputs(root) if output.path in wanted]
    files = sorted({output.source for output in outputs})
    if not files:
        return
    done = dvc.run(["pull", "--quiet", *files], root, SECONDS)
    if done.returncode != 0:
        # DVC itself, asked to be quiet, gives no name.
        cache = cache_folder(root)
        lacking = [f"{path} ({oid})" for oid, path in expand(outputs, cache).items() if not intact(cache, oid)]
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        names = ", ".join(lacking[:SHOWN]) + more if lacking else dvc.said(done.stderr)
        raise UserError(
            f"{', '.join(files)}: the batches are not all in the remote: {names}",
            "`dvc push` on the machine that has them; for storage of your own, check the key in the secrets",
        )


def _repro(root: Path) -> None:
    """Run the pipeline with its words on the log, and without the keys that only our own calls need."""
    environment: Mapping[str, str] = {key: value for key, value in os.environ.items() if key not in KEYS}
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro"],
        cwd=root,
        env={**environment, "DVC_NO_ANALYTICS": "1"},
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise UserError("the pipeline stopped", "the lines above say what stopped it; `make run` shows the same")
