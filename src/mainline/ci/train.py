"""Training in a pull request's run."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from mainline import dvc
from mainline.ci.event import git
from mainline.ci.locked import Lock, pinned
from mainline.ci.plan import stale_stages
from mainline.compare.reproduce import Reproduction
from mainline.console import say, warn
from mainline.dvc import cache_folder
from mainline.embedded import keep
from mainline.errors import UserError
from mainline.files import write_json
from mainline.github import KEYS
from mainline.objects import EMBEDDED, data_outputs, expand, intact
from mainline.paths import REPRODUCTION

SECONDS = 6 * 3600.0
SHOWN = 5


def train(base: str, root: Path = Path()) -> bool:
    """Bring the pipeline's outputs in line with code, data and params; return whether committed files changed.

    ``base`` is the commit that the pull request is compared with. A lock that is main's own and fits is answered by
    outputs that have its hashes; what is lacking is made again. A lock that the pull request brings along proves
    nothing: all is run again, and what this run made is what is judged. The embedded remote keeps the outputs.

    Raises:
        UserError: data are missing from the remote, a stage failed, or what was made again predicts something else than
            what the lock names. The verdict of an earlier run is gone in every case; reports/stopped.json has the
            reason, for the report.
    """
    for name in ("verdict.json", "report.md", "report.html", "pull_request.json", "stopped.json", REPRODUCTION.name):
        (root / "reports" / name).unlink(missing_ok=True)
    cache = cache_folder(root)
    try:
        made = _train(base, cache, root)
    except UserError as error:
        write_json(root / "reports" / "stopped.json", {"problem": error.problem, "fix": error.fix})
        raise
    made.write(root)
    say(f"dvc.lock: {made.sentence()}", "pass")
    kept = keep(root, cache)
    if kept.warning():
        warn(kept.warning())
    return bool(git(["status", "--porcelain", "--", "dvc.lock", EMBEDDED.as_posix()], root=root))


def _train(base: str, cache: Path, root: Path) -> Reproduction:
    stale = stale_stages(root)
    ancestor = _ancestor(base, root)
    brought = bool(git(["diff", "--no-renames", "--name-only", ancestor, "--", "dvc.lock"], root=root))
    say(f"dvc.lock does not fit: {', '.join(stale)}" if stale else "dvc.lock fits code, data and params")
    _pull_data(cache, root)
    locked = pinned(root)
    lock = Lock(ancestor, locked, brought, cache)
    whole = not brought and lock.take(stale, root)
    claim = None if stale else lock.reference(root)
    if brought:
        _refuse_frozen(root)
        say("dvc.lock differs from main's: everything is run again")
    _repro(root, ["--force"] if brought else [])
    outputs = pinned(root)
    changed = tuple(path for path, oid in outputs.items() if locked.get(path) != oid)
    if stale:
        return Reproduction("trained", outputs, changed, stale=stale)
    if not changed:
        return Reproduction("by hash" if whole else "byte for byte", outputs)
    return lock.judge(claim, outputs, changed, root)


def _ancestor(base: str, root: Path) -> str:
    """Return the newest commit that HEAD shares with ``base``.

    Raises:
        UserError: there is none here.
    """
    try:
        return git(["merge-base", base, "HEAD"], root=root).strip()
    except UserError as error:
        raise UserError(
            f"the base commit {base[:12]} is not here, or shares no history with the commit that is checked out",
            "check out with `fetch-depth: 0`; on your machine: `git fetch origin`",
        ) from error


def _pull_data(cache: Path, root: Path) -> None:
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
        lacking = [f"{path} ({oid})" for oid, path in expand(outputs, cache).items() if not intact(cache, oid)]
        more = f" and {len(lacking) - SHOWN} more" if len(lacking) > SHOWN else ""
        names = ", ".join(lacking[:SHOWN]) + more if lacking else dvc.said(done.stderr)
        raise UserError(
            f"{', '.join(files)}: the batches are not all in the remote: {names}",
            "`dvc push` on the machine that has them; for storage of your own, check the key in the secrets",
        )


def _refuse_frozen(root: Path) -> None:
    """Refuse a stage that is frozen: DVC never runs it, so nothing would show what its outputs are made of.

    Raises:
        UserError: a stage in dvc.yaml is frozen.
    """
    pipeline = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8")) or {}
    frozen = [name for name, stage in (pipeline.get("stages") or {}).items() if stage.get("frozen")]
    if frozen:
        raise UserError(
            f"dvc.yaml: stage {frozen[0]} is frozen, so its outputs in dvc.lock cannot be proven by running it",
            "take `frozen: true` out of dvc.yaml; a stage that fits is not run again anyway",
        )


def _repro(root: Path, options: Sequence[str]) -> None:
    """Run the pipeline with its words on the log, and without the keys that only our own calls need.

    What DVC remembers of earlier runs does not count: it may come from another pull request's code.
    """
    environment: Mapping[str, str] = {key: value for key, value in os.environ.items() if key not in KEYS}
    sys.stdout.flush()
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "repro", "--no-run-cache", *options],
        cwd=root,
        env={**environment, "DVC_NO_ANALYTICS": "1"},
        stdin=subprocess.DEVNULL,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise UserError("the pipeline stopped", "the lines above say what stopped it; `make run` shows the same")
