"""The folder on branch ``deploy`` that a cluster follows: which release it names, and its files for another.

A release that it has named before gets the very files of then: equal pods, which Argo Rollouts knows as proven and
gives all users at once. Rendered anew, a change of params.yaml would make other pods of them, and a rollback a canary.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from mainline.compare.git import git
from mainline.config import Settings, parse_settings
from mainline.errors import UserError
from mainline.release.image import image_of
from mainline.release.ledger import CLUSTER, Deploy
from mainline.release.repo import REF
from mainline.release.state import Entry, State
from mainline.rollout.kubernetes.check import check
from mainline.rollout.kubernetes.plan import Image, Target, target
from mainline.rollout.kubernetes.render import tree
from mainline.rollout.kubernetes.workload import VERSION

FOLDER = f"{CLUSTER}production"
OVERLAY = f"{FOLDER}/overlays/production/kustomization.yaml"
MOST = 200  # commits of the overlay that are looked through
SettingsOf = Callable[[Entry], Settings]


class Unfit(UserError):
    """No cluster can run this release, however often it is tried."""


def image(deploy: Deploy, release: str) -> Image:
    """Return the image of a release.

    Raises:
        Unfit: the ledger has none.
    """
    reference = image_of(deploy.entry(release))
    if not reference:
        raise Unfit(
            f"release {release}: the ledger has no image of it",
            f"build and push it, then `mainline release image {release} NAME@sha256:…`",
        )
    return Image(reference, release)


def named(deploy: Deploy, commit: str = REF) -> Image | None:
    """Return the image that the folder names; None without one, or when the file was broken: it is written anew."""
    text = deploy.repo.read(OVERLAY, commit)
    if text is None:
        return None
    try:
        patches = [item["patch"] for item in yaml.safe_load(text)["patches"] if item["target"]["kind"] == "Deployment"]
        values = {step["path"]: step["value"] for step in yaml.safe_load(patches[0])}
        label = VERSION.replace("/", "~1")
        return Image(
            values["/spec/template/spec/containers/0/image"], values[f"/spec/template/metadata/labels/{label}"]
        )
    except (yaml.YAMLError, KeyError, IndexError, TypeError, UserError):
        return None


def files_of(deploy: Deploy, wanted: Image, settings: SettingsOf) -> dict[str, str]:
    """Return the files that make the folder name ``wanted``, as it did before, else rendered.

    Raises:
        Unfit: they would not pass the check.
        UserError: the release's params.yaml cannot be had.
    """
    found = _earlier(deploy, wanted)
    if found:
        return found
    made = tree(_target(settings(deploy.entry(wanted.release))), wanted, environments=("production",))
    lines = [f"{name}: {fault}" for name, faults in check(made).items() for fault in faults]
    if lines:
        raise Unfit("\n".join(lines), "change params.yaml; docs/kubernetes.md explains each check")
    return {f"{FOLDER}/{path}": text for path, text in made.items()}


def _target(settings: Settings) -> Target:
    try:
        return target(settings)
    except UserError as error:
        raise Unfit(error.problem, error.fix) from error


def _earlier(deploy: Deploy, wanted: Image) -> dict[str, str]:
    """Return the files of the newest commit in which the folder named ``wanted``; empty when there is none."""
    after = ""
    for commit in deploy.repo.git("rev-list", f"--max-count={MOST}", REF, "--", OVERLAY).split():
        if named(deploy, commit) == wanted:
            # Somebody may have changed a file beside the overlay while it named this one.
            last = f"{after}^" if after else REF
            return {path: deploy.repo.read(path, last) or "" for path in deploy.repo.names(FOLDER, last)}
        after = commit
    return {}


def released_settings(root: Path = Path()) -> SettingsOf:
    """Return how the settings of a release are read: from its own commit, whatever is checked out here."""

    def read(entry: Entry) -> Settings:
        def shown() -> str:
            return git("show", f"{entry.commit}:params.yaml", root=root, check=False)

        text = shown()
        if not text:
            git("fetch", "--quiet", "origin", entry.commit, root=root, check=False)
            text = shown()
        if not text:
            raise UserError(
                f"release {entry.release}: its commit {entry.commit[:12]} is not here, nor at origin",
                f"git fetch origin {entry.commit}",
            )
        return parse_settings(text, f"params.yaml of {entry.commit[:12]}")

    return read


def with_stable(deploy: Deploy, settings: SettingsOf) -> Callable[[State], Mapping[str, str]]:
    """Return what a commit of a new state has to bring along: once nothing is tried, the folder names stable.

    So an abort and a rollback reach the cluster by git alone, also when nobody hears it.
    """

    def also(made: State) -> Mapping[str, str]:
        if made.environment != "production" or made.candidate or not made.stable:
            return {}
        try:
            wanted = image(deploy, made.stable)
        except Unfit:
            # Never in the cluster, so nothing has to go back to it. To make it stable is another matter.
            if deploy.state("production").stable == made.stable:
                return {}
            raise
        return {} if named(deploy) == wanted else files_of(deploy, wanted, settings)

    return also
