"""The repository behind branch ``deploy`` before its first commit, and what git refuses, in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mainline.errors import UserError
from mainline.release.repo import REF, Refused, Repo

EXCLUDED = ".lock\n*.edited\n.*.part\n"
README = """# What runs, and why

`production.yaml` and `staging.yaml` say what serves, `ledger/` what happened to each release, `evidence/` on what
grounds; `monitor/` keeps the windows watched so far. Only mainline's commands write here. To see the history:
`git log -p`. To go back: `mainline rollback`.
"""


def prepare(repo: Repo, remote: str | None) -> None:
    """Make the repository if there is none, or half of one."""
    if not (repo.folder / ".git" / "info" / "exclude").is_file() or not repo.git("rev-parse", "--git-dir", check=False):
        repo.git("init", "--quiet", "--template=")
        (repo.folder / ".git" / "info").mkdir(exist_ok=True)
        (repo.folder / ".git" / "info" / "exclude").write_text(EXCLUDED, encoding="utf-8")
    repo.git("symbolic-ref", "HEAD", REF)
    if remote is not None:
        repo.git("config", "remote.origin.url", remote)


@contextmanager
def said(repo: Repo) -> Iterator[None]:
    """Turn what git refuses into a message."""
    try:
        yield
    except Refused as error:
        raise UserError(f"{repo.folder}: {error}", "run the same command again") from error
