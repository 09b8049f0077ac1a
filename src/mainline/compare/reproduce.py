"""Is a model that was built again the one that a lock names? By its hash, else by its scores of the check rows.

The reference is check.json as that lock names it, taken by its hash; what lies beside the model counts for nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from mainline import dvc
from mainline.compare.git import blob
from mainline.compare.scoring import CannotScore, predictions
from mainline.evaluate.check_rows import TOLERANCE, CheckRows, Compared, Example, compare_scores
from mainline.files import write_atomic, write_json
from mainline.objects import EMBEDDED, intact, md5, place
from mainline.paths import CHECK, MODEL, REPRODUCTION, TEST

SECONDS = 900.0
Case = Literal["by hash", "byte for byte", "other bytes", "not compared", "trained"]


class NoProof(Exception):
    """Scores cannot be compared with the reference; the text says why."""


class OtherRows(NoProof):
    """The test rows are not those of the reference."""


def reference(outputs: Mapping[str, str], cache: Path, tree: Path, commit: str = "") -> CheckRows:
    """Return the check rows that a lock names; ``outputs`` are its MD5s by path.

    They are taken from the cache, else from the embedded remote of ``tree`` or of ``commit``, else from the default
    remote of ``tree``; each time only if the bytes have the MD5 in the lock.

    Raises:
        NoProof: the lock names none, none has that hash, or it cannot be read.
    """
    oid = outputs.get(CHECK.as_posix())
    if oid is None:
        raise NoProof(f"the lock names no {CHECK}")
    for folder in (cache, tree / EMBEDDED):
        if intact(folder, oid):
            return _read(place(folder, oid).read_bytes())
    content = blob(commit, place(EMBEDDED, oid).as_posix(), tree) if commit else None
    if content is not None and hashlib.md5(content, usedforsecurity=False).hexdigest() == oid:
        write_atomic(place(cache, oid), content)
        return _read(content)
    dvc.run(["fetch", "--quiet", CHECK.as_posix()], tree, SECONDS, CHECK.as_posix())
    if intact(cache, oid):
        return _read(place(cache, oid).read_bytes())
    raise NoProof(f"{CHECK} ({oid}) is in no cache or remote")


def prove(wanted: CheckRows, outputs: Mapping[str, str], tree: Path) -> Compared:
    """Return how far the scores of the model in ``tree``, by the code in ``tree``, are from the reference ``wanted``.

    ``outputs`` are the MD5s by path in the lock that names the reference.

    Raises:
        OtherRows: the test rows in ``tree`` are not those that the lock names.
        NoProof: the model there gives no scores.
    """
    here = md5(tree / TEST)
    if here is None or here != outputs.get(TEST.as_posix()):
        raise OtherRows(f"{TEST} is {here or 'not there'}, the lock names {outputs.get(TEST.as_posix(), 'none')}")
    try:
        return compare_scores(wanted, predictions(tree, tree / TEST).score)
    except CannotScore as error:
        raise NoProof(f"the model gives no scores: {error}") from error


def apart(found: Compared) -> str:
    """Return in words how different predictions differ."""
    return f"the predictions differ: {found.words()}, {TOLERANCE:g} is allowed; {found.shown()}"


def other_bytes(found: Compared) -> str:
    """Return in words that a model was reproduced, with other bytes."""
    return f"reproduced, with other bytes ({found.words()})"


@dataclass(frozen=True)
class Reproduction:
    """How the outputs of the work tree were come by: reports/reproduction.json.

    Attributes:
        case: "by hash": nothing was trained; "byte for byte": made again as the lock named it; "other bytes": made
            again with other bytes and the same scores; "not compared": made again with other bytes, without a
            reference; "trained": the lock did not fit, so there was nothing to reproduce.
        outputs: MD5 by path of every output as it is now.
        changed: paths whose MD5 is not the one that the lock named.
        proof: the scores compared with the reference, with "other bytes".
        stale: stages that the lock did not fit.
    """

    case: Case
    outputs: dict[str, str]
    changed: tuple[str, ...] = ()
    proof: Compared | None = None
    stale: tuple[str, ...] = field(default=())

    def sentence(self) -> str:
        """Return it as one line."""
        if self.case == "other bytes" and self.proof:
            return other_bytes(self.proof)
        return {
            "by hash": "the outputs were taken by their hashes, nothing was trained",
            "byte for byte": "reproduced, byte for byte",
            "not compared": "trained again with other bytes than the lock named, and without check rows to compare",
            "trained": f"trained, since dvc.lock did not fit: {', '.join(self.stale)}",
            "other bytes": "reproduced, with other bytes",
        }[self.case]

    def row(self) -> dict[str, Any]:
        """Return what verdict.json says of it."""
        return {"case": self.case, "proof": self.proof and self.proof.row(), "stale": list(self.stale)}

    def write(self, root: Path = Path()) -> None:
        """Write reports/reproduction.json.

        Raises:
            UserError: it cannot be written.
        """
        write_json(root / REPRODUCTION, asdict(self))


def written(root: Path = Path()) -> Reproduction | None:
    """Return what reports/reproduction.json says, None if there is none that is about the model on disk."""
    try:
        said = json.loads((root / REPRODUCTION).read_text(encoding="utf-8"))
        proof = said["proof"]
        found = Reproduction(
            case=said["case"],
            outputs={str(path): str(oid) for path, oid in said["outputs"].items()},
            changed=tuple(map(str, said["changed"])),
            proof=proof and Compared(**proof | {"examples": tuple(Example(**item) for item in proof["examples"])}),
            stale=tuple(map(str, said["stale"])),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    about = found.outputs.get(MODEL.as_posix())
    return found if found.case in get_args(Case) and about is not None and about == md5(root / MODEL) else None


def _read(content: bytes) -> CheckRows:
    try:
        return CheckRows.read(json.loads(content))
    except ValueError as error:
        raise NoProof(str(error)) from error
