"""``mainline release build``: from a clean commit to one immutable folder in the store and its entry in the ledger."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.compare.git import git
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.files import read_json, sha256, write_atomic, write_json
from mainline.objects import stage_outputs
from mainline.paths import CARD as CARD_SOURCE
from mainline.paths import CARD_PAGE as PAGE_SOURCE
from mainline.paths import EVALUATION, MODEL, SERVING, TEST, TRAINING, VALIDATION
from mainline.release import bento, sbom, store
from mainline.release.fitness import check_fitness, reproduced
from mainline.release.identity import LENGTH, covered, digests, listing, of, release_id
from mainline.release.ledger import Deploy, Entry, Transition
from mainline.release.store import Release
from mainline.release.verify import faults

COPIED = ("params.yaml", "dvc.lock")
NOT_FOUND = "not found: "  # begins the verdict in the ledger when there is none, with the reason behind it
SHOWN = ("bentoml", "scikit-learn", "numpy", "pandas", "onnxruntime", "skops")


@dataclass(frozen=True)
class Built:
    """A release, and whether it was built now; ``note`` says why it was, or was not."""

    release: Release
    fresh: bool
    note: str


def build(
    root: Path = Path(),
    where: Path = store.STORE,
    deploy: Deploy | None = None,
    ask: Callable[[str], dict[str, Any]] | None = None,
) -> Built:
    """Return the release of the work tree's commit, built unless it is in the store already, whole.

    The bytes follow from the commit alone. A release that the ledger knows keeps the commit that it was first made of,
    also when a later one has the same content. ``ask`` is called with the commit of a new release that was not
    compared here, and returns the verdict that the ledger gets.

    Raises:
        UserError: the work tree may not become a release (see ``fitness``), BentoML cannot build it, or what came out
            is not what the ledger has under this id.
    """
    verdict = check_fitness(root)
    project = load_settings(root / "params.yaml").project
    parts = digests(root)
    name = release_id(project, parts)
    known = deploy.entry(name) if deploy and name in deploy.releases() else None
    pinned = None if known is None else known.digests.get("manifest")
    note = "built"
    if (where / name).is_dir():
        wrong = faults(name, where, pinned)
        if not wrong:
            made = Built(store.find(name, where), False, "it is in the store already, and whole")
            enter(deploy, made.release, verdict, root, ask)
            return made
        note = f"built again, for the one in the store was damaged: {wrong[0]}"
    source = known.commit if known else git("rev-parse", "HEAD", root=root)
    created = _created(source, known, root)
    with store.place(where, name) as folder:
        _fill(folder, root, project, name, parts, (source, created))
        if pinned and sha256(folder / store.MANIFEST) != pinned:
            raise UserError(
                f"release {name}: what this machine builds from {source[:12]} is not, byte for byte, what the ledger "
                f"has (manifest {sha256(folder / store.MANIFEST)[:12]}, ledger {pinned[:12]})",
                "build it with the same Python version and the locked packages (`make setup`)",
            )
    release = store.find(name, where)
    enter(deploy, release, verdict, root, ask)
    return Built(release, True, note)


def _created(commit: str, known: Entry | None, root: Path) -> str:
    found = bento.commit_date(commit, root)
    if not found and known is not None:
        found = next((str((item.evidence or {}).get("created", "")) for item in known.transitions), "")
    if not found:
        raise UserError(f"commit {commit[:12]} is not here", f"git fetch origin {commit}")
    return found


def _fill(folder: Path, root: Path, project: str, name: str, parts: dict[str, str], origin: tuple[str, str]) -> None:
    """Write the whole release into ``folder``, the manifest last. ``origin`` is the commit and its date."""
    commit, created = origin
    versions = {item.name: item.version for item in sbom.packages((root / "requirements.lock").read_text("utf-8"))}
    batches = read_json(root / VALIDATION)["batches"]
    texts = _texts(root, name, parts, batches, created)
    tag = f"{project}:{name[-LENGTH:]}"
    identity = {"id": name, "commit": commit, "created": created, "digests": parts, "bento": tag}
    extras = {key: texts[key] for key in (store.CARD, store.SBOM, store.GOLDEN)}
    # Not below .mainline: BentoML reads no file of a hidden folder.
    with tempfile.TemporaryDirectory(prefix="mainline-release-") as work:
        settings = bento.bentofile(root, project, name)
        made = bento.build(
            root, Path(work), settings, name[-LENGTH:], created, extras | {"identity.json": _json(identity)}
        )
        shutil.move(made, folder / store.BENTO)
    _check(folder / store.BENTO, parts, root)
    for key, text in texts.items():
        write_atomic(folder / key, text)
    for key in COPIED:
        shutil.copyfile(root / key, folder / key)
    manifest = identity | {
        "project": project,
        "data": [
            {key: item[key] for key in ("file", "rows", "sha256", "from", "to") if key in item} for item in batches
        ],
        "serving": read_json(root / SERVING / "serving.json") if (root / SERVING).is_dir() else None,
        "versions": {"python": f"{sys.version_info.major}.{sys.version_info.minor}"}
        | {key: versions[key] for key in SHOWN if key in versions},
        "files": listing(folder),
    }
    again = reproduced(root)
    if again:
        manifest["reproduced"] = again.sentence()
    write_json(folder / store.MANIFEST, manifest)


def _texts(
    root: Path, name: str, parts: Mapping[str, str], batches: list[dict[str, Any]], created: str
) -> dict[str, str]:
    """Return card, page, bill of materials and golden rows by file name."""
    from mainline.data.split import read_rows
    from mainline.project import load_project
    from mainline.release.golden import golden
    from mainline.train.artifact import load_model

    training, evaluation = read_json(root / TRAINING), read_json(root / EVALUATION)
    project = load_project(str(training["project"]))
    model = load_model(root / MODEL, project.trusted)
    limit = float((evaluation["threshold"] or {}).get("value", 0.5))
    facts = {"task": str(training["task"]), "rows": str(training["rows"]), "seed": str(training["seed"])}
    listed = sbom.packages((root / "requirements.lock").read_text(encoding="utf-8"))
    when = dt.datetime.fromisoformat(created)
    return {
        store.CARD: (root / CARD_SOURCE).read_text(encoding="utf-8"),
        store.CARD_PAGE: (root / PAGE_SOURCE).read_text(encoding="utf-8"),
        store.SBOM: sbom.render(name, when, parts, listed, batches, facts),
        store.GOLDEN: _json(golden(read_rows(root / TEST), model, project, training, limit)),
    }


def _check(made: Path, parts: Mapping[str, str], root: Path) -> None:
    """Make sure that the Bento holds this very model, and nothing that could change without the id.

    Raises:
        UserError: ``bentofile.yaml`` leaves it out, or lets in what the id does not cover.
    """
    model, serving, params = (bento.held(made, path) for path in (MODEL, SERVING, Path("params.yaml")))
    found = {
        MODEL.as_posix(): (sha256(model) if model else None, parts["model"]),
        SERVING.as_posix(): (of(listing(serving)) if serving else of({}), parts["serving"]),
        "params.yaml": (sha256(params) if params else None, parts["params"]),
    }
    for path, (have, want) in found.items():
        if have != want:
            raise UserError(f"{bento.FILE}: {path} is not in the Bento as it is here", f"add {path} to include")
    own = {bento.FILE, *COPIED, "requirements.lock", *(output.path for output in stage_outputs(root))}
    for path in listing(made / "src"):
        top = path.split("/")[0]
        if not covered(top) and top != bento.EXTRAS and not any(f"{path}/".startswith(f"{item}/") for item in own):
            raise UserError(
                f"{bento.FILE}: include: {path} gets into the Bento, but the release id does not depend on it",
                "take it out, or move it to src",
            )


def _json(value: Any) -> str:
    import json

    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def enter(
    deploy: Deploy | None,
    release: Release,
    verdict: dict[str, Any] | None,
    root: Path,
    ask: Callable[[str], dict[str, Any]] | None = None,
) -> None:
    """Put a new release of ``root``'s repository into the ledger; one that is there stays as it is."""
    if deploy is None:
        return
    deploy.refresh()  # building takes a while, and others may have acted meanwhile
    if release.id in deploy.releases():
        return
    if verdict is None:
        nobody = "nobody has compared this model here"
        verdict = ask(release.commit) if ask else {"verdict": f"{NOT_FOUND}{nobody}", "reason": nobody}
    subject = git("show", "--no-patch", "--format=%s", release.commit, root=root, check=False)
    entry = Entry(
        release.id,
        release.commit,
        verdict.get("pull_request") or pull_request(subject),
        str(verdict["verdict"]),
        None,
        {**release.digests, "manifest": sha256(release.path / store.MANIFEST)},
    )
    evidence = {"created": release.manifest["created"], "bento": release.manifest["bento"],
                "verdict": str(verdict["reason"])}  # fmt: skip
    if release.manifest.get("reproduced"):
        evidence["reproduced"] = str(release.manifest["reproduced"])
    if verdict.get("source"):
        evidence["verdict_source"] = str(verdict["source"])
    built = Transition(release.id, "staging", "built", actor(root), subject or "built", evidence=evidence)
    deploy.commit(
        f"Build {release.id}\n\nof commit {release.commit}", expect=deploy.head(), entries=[entry], transitions=[built]
    )


def pull_request(subject: str) -> int | None:
    """Return the number of the pull request that a merge or squash commit names in its subject."""
    found = re.search(r"^Merge pull request #(\d+)\b|\(#(\d+)\)$", subject)
    return int(found[1] or found[2]) if found else None


def actor(root: Path = Path()) -> str:
    """Return who acts: the workflow's actor, else the user whom git knows, else "mainline"."""
    return os.environ.get("GITHUB_ACTOR") or git("config", "user.name", root=root, check=False) or "mainline"
