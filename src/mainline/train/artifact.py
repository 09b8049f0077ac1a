"""The model file: skops, never pickle; equal models are equal bytes, and only reviewed types are loaded."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import write_atomic

# Types that skops does not trust by itself. Each was read: data holders of NumPy, SciPy and scikit-learn whose
# construction runs no code from the file. A project adds its own in model.py (TRUSTED), where code owners review it.
TRUSTED = (
    "numpy.dtype",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.LogitLink",
    "sklearn._loss.link.IdentityLink",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfBinomialLoss",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn._loss.loss.HalfSquaredError",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)


def dump_model(model: Any) -> bytes:
    """Return ``model`` in skops format, made canonical: the same model gives the same bytes on every run.

    skops numbers objects by memory address and stamps files with the time; here they are numbered in order of
    appearance and carry the earliest time that ZIP knows.
    """
    import skops.io as sio

    with zipfile.ZipFile(io.BytesIO(sio.dumps(model))) as source:
        names = source.namelist()
        schema = json.loads(source.read("schema.json"))
        files = {name: source.read(name) for name in names if name != "schema.json"}
    renamed: dict[str, str] = {}
    numbers: dict[int, int] = {}
    schema = _renumber(schema, numbers, renamed, files)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as target:
        content = {"schema.json": json.dumps(schema, sort_keys=True).encode()}
        content |= {new: files[old] for old, new in sorted(renamed.items(), key=lambda pair: pair[1])}
        for name, data in content.items():
            target.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data, zipfile.ZIP_DEFLATED)
    return out.getvalue()


def _renumber(node: Any, numbers: dict[int, int], renamed: dict[str, str], files: dict[str, bytes]) -> Any:
    """Return ``node`` with object ids and member file names replaced by their order of appearance."""
    if isinstance(node, list):
        return [_renumber(item, numbers, renamed, files) for item in node]
    if not isinstance(node, dict):
        return node
    out = {}
    for key, value in node.items():
        if key == "__id__":
            value = numbers.setdefault(value, len(numbers))
        elif key == "file" and isinstance(value, str) and value in files:
            suffix = Path(value).suffix
            value = renamed.setdefault(value, f"{len(renamed):04d}{suffix}")
        else:
            value = _renumber(value, numbers, renamed, files)
        out[key] = value
    return out


def save_model(path: Path, model: Any, trusted: Sequence[str] = ()) -> Path:
    """Write ``model`` to ``path`` and prove that it loads; return ``path``.

    Raises:
        UserError: it holds a type that is on neither allow-list, or the disk is full.
    """
    data = dump_model(model)
    _check_types(data, str(path), trusted)
    return write_atomic(path, data)


def load_model(path: Path, trusted: Sequence[str] = ()) -> Any:
    """Return the model in ``path``.

    Raises:
        UserError: the file is absent, damaged, or holds a type that is on neither allow-list.
    """
    import skops.io as sio

    if not path.is_file():
        raise UserError(f"{path}: not there", "run `dvc repro` (or `dvc pull`) first")
    data = path.read_bytes()
    try:
        _check_types(data, str(path), trusted)
        return sio.loads(data, trusted=[*TRUSTED, *trusted])
    except UserError:
        raise
    # What a damaged file makes of the readers below (zlib, zip, JSON, NumPy, skops) has no common name.
    except Exception as error:
        raise UserError(f"{path}: damaged model file ({error})", "run `dvc checkout` or `dvc repro` again") from error


def _check_types(data: bytes, name: str, trusted: Sequence[str]) -> None:
    import skops.io as sio

    strange = sorted(set(sio.get_untrusted_types(data=data)) - {*TRUSTED, *trusted})
    if strange:
        raise UserError(
            f"{name}: the model holds types that nobody has reviewed: {', '.join(strange)}",
            "read them; if loading one runs no code from the file, add it to TRUSTED in the project's model.py",
        )
