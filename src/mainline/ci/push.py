"""Pushing a judged model's outputs to storage of one's own: main's code, main's remote, the only key that writes."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mainline import dvc, keys, stored
from mainline.address import shown
from mainline.ci import outputs
from mainline.ci.event import git
from mainline.ci.hand_over import FAILED, still_waits
from mainline.ci.here import Here
from mainline.console import say, warn
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.objects import Output, stage_outputs

SECONDS = 3600.0
FILES = ("dvc.lock", "dvc.yaml")
LARGEST = 8 * 1024 * 1024  # bytes of one of them
SHOWN = 3


def named(commit: str, root: Path = Path()) -> list[Output]:
    """Return what ``dvc.lock`` of ``commit`` names and storage should hold. The commit is read, never checked out.

    Raises:
        UserError: the commit is not here, or its lock is not what DVC writes.
    """
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            size = git(["cat-file", "-s", f"{commit}:{name}"], root=root).strip()
            if int(size) > LARGEST:
                raise UserError(f"{name} of {commit[:12]}: {int(size):,} bytes", "commit the one that DVC wrote")
            Path(folder, name).write_text(git(["show", f"{commit}:{name}"], root=root), encoding="utf-8")
        try:
            found = stage_outputs(Path(folder))
        except (KeyError, TypeError, AttributeError, RecursionError, ValueError) as error:
            raise UserError(f"dvc.lock of {commit[:12]}: is not one that DVC wrote", "`make run`, commit it") from error
    if not found:
        raise UserError(f"dvc.lock of {commit[:12]}: is not one that DVC wrote", "`make run`, commit it")
    for output in found:  # they become paths
        if not isinstance(output.oid, str) or not outputs.OID.fullmatch(output.oid):
            raise UserError(
                f"dvc.lock of {commit[:12]}: {str(output.oid)[:80]!r} is not an MD5", "`make run`, commit it"
            )
    return found


def push(wanted: list[Output], archive: Path | None, root: Path = Path()) -> int:
    """Push what storage lacks of ``wanted`` from the artifact ``archive``; return the number of objects.

    Nothing that storage holds is written again or taken away, so a push that was cut off goes on by another one. In the
    end storage holds all of ``wanted``.

    Raises:
        UserError: the artifact is not what the run should have uploaded, storage refuses, or something is in neither.
    """
    remote = stored.default_remote(root)
    cache = cache_folder(root)
    gone = stored.lacking(remote, wanted, cache, root)
    if not gone:
        say(f"the outputs are in {shown(remote.url)} already", "pass")
        return 0
    below = root / ".dvc" / "tmp"
    below.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="outputs-", dir=below) as folder:
        # An empty cache of its own: only what was compared with its name here is ever pushed.
        taken = Path(folder).resolve()
        whole = outputs.take(archive, wanted, taken) if archive is not None else []
        if whole:
            _send(remote, whole, taken, root)
        left = sorted(stored.lacking(remote, wanted, cache, root).values())
    if left:
        more = f" and {len(left) - SHOWN} more" if len(left) > SHOWN else ""
        raise UserError(
            f"{', '.join(left[:SHOWN])}{more}: dvc.lock names it; neither {shown(remote.url)} nor the artifact has it",
            "run the workflow `pull request` again; or " + outputs.BY_HAND,
        )
    say(f"{len(gone)} objects of the outputs are in {shown(remote.url)} now", "pass")
    return len(gone)


def push_and_tell(commit: str, run: int, description: str, here: Here, url: str = "") -> None:
    """Push what ``dvc.lock`` of ``commit`` names, from the artifact of ``run``; then ``commit`` has its verdict.

    Raises:
        UserError: something is not in storage; the status says so, and running the job again goes on.
    """
    if not still_waits(commit, here):
        say(f"{commit[:7]} waits for no push: its newest status is another one")
        return
    try:
        here.fetch(commit)
        with tempfile.TemporaryDirectory() as folder:
            push(named(commit, here.root), _archive(run, here, Path(folder)), here.root)
    except UserError as error:
        here.server.set_status(commit, "failure", f"{FAILED}: {error.problem}", url)
        raise
    if not still_waits(commit, here):
        say(f"{commit[:7]} has another status by now: it stays", "warn")
        return
    here.server.set_status(commit, "success", description, url)
    say(f"mainline/verdict is success on {commit[:7]}: {description}", "pass")
    try:
        here.server.add_check(commit, "success", description, "The report is in the pull request's comment.")
    except UserError as error:
        warn(f"no check run: {error}")


def _archive(run: int, here: Here, folder: Path) -> Path | None:
    there = here.server.run_artifacts(run, outputs.NAME)
    if not there:
        return None
    file = folder / "outputs.zip"
    here.server.download(int(there[0]["id"]), file, outputs.ZIPPED)
    return file


def _send(remote: stored.Remote, whole: list[Output], cache: Path, root: Path) -> None:
    # A bucket that everybody may read is read without a key; to write takes one.
    section = {key: value for key, value in remote.section.items() if key != "allow_anonymous_login"}
    with dvc.scratch(root, remote.name, section, whole) as trial:
        try:
            trial.push(cache, SECONDS)
        except UserError as error:
            if "the key was refused" in error.problem or "no key was found" in error.problem:
                names = ", ".join(f"{keys.PREFIX}{name}" for name in keys.SECRETS.get(remote.scheme, ()))
                raise UserError(
                    error.problem,
                    f"Settings → Environments → storage: the key that writes, as {names} "
                    "(docs/operations.md, Storage of your own); then run this job again",
                ) from error
            raise
