"""What the comparison asks git."""

from __future__ import annotations

import subprocess
from pathlib import Path

from mainline import child
from mainline.errors import UserError

SECONDS = 120.0
# After the remote's own default branch, where the clone knows it.
DEFAULT_REFS = ("origin/main", "main", "origin/master", "master")


def git(*arguments: str, root: Path = Path(), check: bool = True) -> str:
    """Return what git prints, without the end of line.

    Raises:
        UserError: git failed (unless ``check`` is false: then what it printed counts) or is not there.
    """
    command = ["git", "--no-optional-locks", *arguments]
    try:
        done = child.run(command, root, seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError(f"git {arguments[0]}: {error}", "is git installed, and this folder a repository?") from error
    if check and done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {arguments[0]}: {said}", "run the command from the top of the repository")
    return done.stdout.rstrip("\n")


def resolve(ref: str, root: Path = Path()) -> tuple[str, str]:
    """Return the name that was taken and its commit; an empty ``ref`` means the default branch (``DEFAULT_REFS``).

    Raises:
        UserError: there is no such commit here.
    """
    own = "" if ref else git("symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD", root=root, check=False)
    for name in (ref,) if ref else filter(None, (own, *DEFAULT_REFS)):
        # Without --end-of-options a name that begins with a dash would be read as an option.
        wanted = ["--verify", "--quiet", "--end-of-options", f"{name}^{{commit}}"]
        found = git("rev-parse", *wanted, root=root, check=False)
        commit = found.splitlines()[-1] if found else ""
        if commit:
            return name, commit
    names = ref or " or ".join(DEFAULT_REFS)
    raise UserError(f"--against {names}: no such commit here", "name another, or fetch it: git fetch origin main")


def text_at(commit: str, path: str, root: Path = Path()) -> str | None:
    """Return the content of a file of ``commit``, None if it has none."""
    if not git("ls-tree", commit, "--", path, root=root):
        return None
    return git("show", f"{commit}:{path}", root=root)


def changed_files(commit: str, *paths: str, root: Path = Path()) -> list[str]:
    """Return the files, sorted, in which the work tree (new files included) differs from ``commit``.

    Of a file that was moved both names are returned: its old place differs, too.
    """
    tracked = git("diff", "--name-only", "--no-renames", "-z", commit, "--", *paths, root=root)
    fresh = git("ls-files", "--others", "--exclude-standard", "-z", "--", *paths, root=root)
    return sorted(set(filter(None, f"{tracked}\0{fresh}".split("\0"))))


def blob(commit: str, path: str, root: Path = Path()) -> bytes | None:
    """Return the bytes of a file of ``commit``, None if it has none."""
    command = ["git", "--no-optional-locks", "cat-file", "blob", f"{commit}:{path}"]
    try:
        done = subprocess.run(
            command, cwd=root, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
