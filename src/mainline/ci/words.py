"""Which files a branch changes, decided by git from its commits, and whether only words are among them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from mainline.ci.event import git

# What cannot reach the model, its tests or its workflows. The workflow `pull request` has the same list in its
# `paths-ignore`; tests/workflows/test_yaml.py compares the two.
WORDS = ("docs/**", "*.md", "LICENSE", "NOTICE", "CITATION.cff")
# Code that takes part in a verdict: who changes it changes the judge, and a person must look at it.
JUDGE = (".github", "src/mainline", "scripts", "Makefile", "requirements.lock", "requirements-light.lock")


def changed(target: str, head: str, root: Path = Path()) -> list[str]:
    """Return the files, sorted, that ``head`` has changed since it left ``target``.

    A moved file counts at both places: with git's search for renames only the new one would be named. After merges in
    both directions there may be several commits at which the two parted; the changes since each of them count.

    Raises:
        UserError: a commit is not in this clone, or the two have no common history.
    """
    found: set[str] = set()
    for parted in git(["merge-base", "--all", "--end-of-options", target, head], root=root).split():
        found.update(between(parted, head, root))
    return sorted(found)


def between(before: str, after: str, root: Path = Path()) -> list[str]:
    """Return the files in which two commits differ."""
    flags = ["-r", "--no-renames", "--ignore-submodules=none", "--name-only", "-z"]
    names = git(["diff-tree", *flags, "--end-of-options", before, after], root=root)
    return [name for name in names.split("\0") if name]


def words_only(names: Sequence[str], root: Path = Path()) -> bool:
    """Return whether all of the files are words.

    ``root`` is a clone with the target's commit checked out: what its pipeline reads is never words.
    """
    read = pipeline_reads(root)
    return all(is_words(name) and not any(f"{name}/".startswith(f"{path}/") for path in read) for name in names)


def is_words(name: str) -> bool:
    """Return whether a file is one of ``WORDS``."""
    path = PurePosixPath(name)
    if len(path.parts) > 1:
        return path.parts[0] == "docs"
    return path.suffix == ".md" or name in WORDS


def judges(names: Sequence[str]) -> list[str]:
    """Return those of the files that take part in a verdict."""
    return [name for name in names if any(f"{name}/".startswith(f"{path}/") for path in JUDGE)]


def pipeline_reads(root: Path = Path()) -> set[str]:
    """Return the files and folders that the stages of dvc.yaml name, whatever they are there for."""
    try:
        content = yaml.safe_load((root / "dvc.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return set()
    return {path for path in map(_path, _texts(content)) if path}


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for key, item in value.items() for text in (str(key), *_texts(item))]
    if isinstance(value, list):
        return [text for item in value for text in _texts(item)]
    return str(value).split()


def _path(text: str) -> str:
    """Return ``text`` as a path; of one with a variable, the folder above the first variable."""
    before, variable, _ = text.partition("${")
    return before.rpartition("/")[0] if variable else text.removeprefix("./").rstrip("/")
