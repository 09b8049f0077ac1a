"""What the two commands do."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mainline.config import load_settings
from mainline.errors import UserError
from mainline.rollout.kubernetes.check import check
from mainline.rollout.kubernetes.plan import ENVIRONMENTS, Image, placeholder, target
from mainline.rollout.kubernetes.render import read, tree, write


def _image(named: tuple[str, str], option: str) -> Image | None:
    reference, release = named
    if bool(reference) != bool(release):
        raise UserError(f"--{option}image and --{option}release: one without the other", "give both, or neither")
    return Image(reference, release) if reference else None


def _refuse(faults: Mapping[str, list[str]], where: str) -> None:
    lines = [f"{where}/overlays/{name}: {fault}" for name, found in faults.items() for fault in found]
    if lines:
        raise UserError("\n".join(lines), "change params.yaml and render again; docs/kubernetes.md explains each check")


def run_render(
    out: Path, image: tuple[str, str], shadow: tuple[str, str] = ("", ""), environment: str = ""
) -> list[str]:
    """Write the files of ``image`` (reference, release) and ``shadow`` (the same, or empty); return what was done.

    Raises:
        UserError: an image without digest or release, an unknown environment, or files that would not pass the check.
    """
    if environment and environment not in ENVIRONMENTS:
        raise UserError(f"--environment {environment}: unknown", f"use {' or '.join(ENVIRONMENTS)}")
    goal = target(load_settings())
    real, candidate = _image(image, ""), _image(shadow, "shadow-")
    if candidate and real and candidate.release == real.release:
        raise UserError(f"--shadow-release {candidate.release}: is the release that answers", "name the candidate")
    files = tree(goal, real or placeholder(goal.name), candidate, (environment,) if environment else ENVIRONMENTS)
    _refuse(check(files, placeholder=real is None), str(out))
    write(files, out)
    what = real.release if real else "the placeholder"
    more = f", {candidate.release} in shadow" if candidate else ""
    return [f"{out}: {len(files)} files for {environment or ' and '.join(ENVIRONMENTS)}, {what}{more}"]


def run_check(folder: Path, accept: bool = False) -> list[str]:
    """Return a line for each environment below ``folder`` that is right.

    Raises:
        UserError: there is no environment, or one has faults; every fault is named.
    """
    faults = check(read(folder), accept)
    if not faults:
        raise UserError(f"{folder}: holds no overlays", "render it first: `mainline kubernetes render`")
    _refuse(faults, str(folder))
    return [f"{folder}/overlays/{name}: no fault" for name in faults]
