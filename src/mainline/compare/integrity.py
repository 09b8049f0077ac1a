"""Does the lock fit what stands on disk, and does the remote hold what the lock names?"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline import dvc, stored
from mainline.compare.champion import data_read
from mainline.dvc import cache_folder
from mainline.errors import UserError
from mainline.objects import EMBEDDED, data_outputs, expand, intact, md5, model_outputs, place, stage_outputs
from mainline.remote import is_embedded

SECONDS = 900.0


@dataclass(frozen=True)
class Finding:
    """Faults as sentences, empty when all is well; ``known`` is false if it could not be looked at (then one says why).

    ``note`` says what was looked at.
    """

    faults: tuple[str, ...] = ()
    known: bool = True
    note: str = ""


def lock_integrity(root: Path = Path(), but: Mapping[str, str] | None = None) -> Finding:
    """Return where ``dvc.lock`` differs from code, data, params and outputs on disk; every output is hashed anew.

    ``but`` has the MD5s, by path, of outputs that may have other bytes than the lock pins: these very bytes.
    """
    but = but or {}
    outputs = stage_outputs(root)
    if not outputs:
        return Finding(("there is no dvc.lock with outputs",))
    faults = [
        f"{out.path}: dvc.lock pins {out.oid}, on disk is {found or 'nothing'}"
        for out in outputs
        if (found := md5(root / out.path)) != but.get(out.path, out.oid)
    ]
    done = dvc.run(["status", "--json"], root, SECONDS)
    try:
        stages = json.loads(done.stdout)
    except ValueError:
        return Finding((*faults, f"dvc status: {dvc.said(done.stderr)}"), known=bool(faults))
    read = data_read(root)
    for stage, changes in stages.items():
        if stage.endswith(".dvc") and stage not in read:
            continue  # data that the pipeline does not read: need not be here
        faults += [f"{stage}: {text}" for change in changes for text in _sentences(change, root, set(but))]
    return Finding(tuple(dict.fromkeys(faults)), note=f"{len(outputs)} outputs hashed")


def _sentences(change: Any, root: Path, but: Set[str]) -> list[str]:
    if not isinstance(change, dict):
        return [str(change)]
    found = []
    for kind, items in change.items():
        for path, state in items.items() if isinstance(items, dict) else ():
            if kind in ("changed outs", "changed deps") and path in but:
                continue  # its bytes were looked at above
            if kind == "changed deps" and "params" not in str(path) and not (root / path).exists():
                found.append(f"{path} is not there")
            elif isinstance(state, dict):
                found.append(f"{path}: {', '.join(f'{key} {how}' for key, how in state.items())}")
            else:
                found.append(f"{path} {state}")
    return found


def remote_integrity(root: Path = Path()) -> Finding:
    """Return what the default remote lacks of the data that ``*.dvc`` names.

    The remote inside the repository must hold the data. What it holds of the model's outputs must be whole; those that
    it lacks are put there by `mainline repro` and by the pull request's run. Storage of one's own is not asked for
    outputs: they go there only after the verdict, from main's code (decision 0030). Whether storage has them is asked
    there, before the status is set.
    """
    data, cache = data_outputs(root), cache_folder(root)
    if is_embedded(root):
        folder = root / EMBEDDED
        lacking = [f"{path} ({oid})" for oid, path in expand(data, folder).items() if not intact(folder, oid)]
        faults = [f"{item} is not in the embedded remote, or damaged" for item in lacking]
        if faults:
            faults[0] += " (data of your own need storage of your own: `make remote URL=…`, commit .dvc/config)"
        kept = expand(model_outputs(root), folder).items()
        there = [(oid, path) for oid, path in kept if place(folder, oid).is_file()]
        damaged = [
            f"{path} ({oid}) is damaged in the embedded remote" for oid, path in there if not intact(folder, oid)
        ]
        if damaged:
            damaged[0] += " (`mainline repro` puts it back)"
        return Finding((*faults, *damaged), note=f"{len(there)} objects of outputs are kept in the repository")
    try:
        gone = stored.lacking(stored.default_remote(root), data, cache, root)
    except UserError as error:
        return Finding((error.problem,), known=False)
    faults = [f"{path} ({oid}) is not in the remote" for oid, path in gone.items()]
    if faults:
        faults[0] += " (`dvc push` puts it there)"
    return Finding(tuple(faults), note=f"{len(data)} outputs of data asked for")
