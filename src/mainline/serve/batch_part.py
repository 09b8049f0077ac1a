"""One part of a batch run: read, check, score. The same part gives the same bytes, wherever it is done."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mainline.errors import UserError
from mainline.serve.batch_cells import Column, Distinct, column_of
from mainline.serve.batch_check import Reject, check_columns
from mainline.serve.batch_csv import read_cells
from mainline.serve.batch_input import Part, open_bytes
from mainline.serve.batch_model import BatchModel, load_batch_model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Scored = tuple[Any, list[tuple[int, Reject]], dict[str, int]]
ROWS = 65_536  # of a Parquet file at a time


@dataclass(frozen=True)
class Job:
    """What all parts of a run share: fingerprint of the model, id of the release, and whether rows carry an id."""

    model: str
    release: str
    with_id: bool


@dataclass(frozen=True)
class Done:
    """What a part gave.

    Attributes:
        scored: an Arrow stream of predictions.
        rejects: CSV lines without a header.
        odd: by column of ``serve.accept``, the rows that were scored with a value that the schema does not allow.
    """

    number: int
    rows: int
    rejected: int
    scored: bytes
    rejects: bytes
    odd: dict[str, int]


@dataclass(frozen=True)
class Slice:
    """Some rows of a part: an Arrow table, the line of each row, and lines that have the wrong number of fields."""

    table: Any
    lines: NDArray[np.int64]
    ragged: list[tuple[int, int]]


def score_part(part: Part, job: Job) -> Done:
    """Return the predictions and rejects of ``part``.

    Raises:
        UserError: the file changed since it was looked through, or this process holds another model.
    """
    import pyarrow as pa

    model = load_batch_model(job.model)
    schema = output_schema(model, job)
    out, rejects, rows, rejected = io.BytesIO(), io.StringIO(), 0, 0
    odd: Counter[str] = Counter()
    with pa.ipc.new_stream(out, schema) as writer:
        for piece in _slices(part, [name for name in part.columns if name in model.checker.rules]):
            scored, faults, accepted = _score(piece, part, job, model, schema)
            writer.write_table(scored)
            _write_rejects(rejects, part.file, faults)
            odd.update(accepted)
            rows += piece.table.num_rows + len(piece.ragged)
            rejected += piece.table.num_rows + len(piece.ragged) - scored.num_rows
    return Done(part.number, rows, rejected, out.getvalue(), rejects.getvalue().encode(), dict(odd))


def output_schema(model: BatchModel, job: Job) -> Any:
    """Return the Arrow schema of the predictions."""
    import pyarrow as pa

    kinds = {"integer": pa.int64(), "number": pa.float64(), "flag": pa.bool_()}
    if job.with_id and model.id is not None:
        fields = [(model.id, kinds.get(model.checker.rules[model.id].kind, pa.string()))]
    else:
        fields = [("file", pa.string()), ("line", pa.int64())]
    if model.task == "regression":
        fields += [("value", pa.float64())]
    elif model.task == "binary":
        fields += [("probability", pa.float64()), ("decision", pa.bool_())]
    else:
        fields += [(f"probability_{name}", pa.float64()) for name in model.classes] + [("decision", pa.string())]
    return pa.schema([*fields, ("release", pa.string())])


def _slices(part: Part, wanted: list[str]) -> Iterator[Slice]:
    if part.kind == "csv":
        with open_bytes(part.address) as stream:
            stream.seek(part.start)
            text = stream.read(part.end - part.start)
        if len(text) != part.end - part.start:
            raise UserError(f"{part.file}: is shorter than it was", "do not change the input while it is scored")
        cells = read_cells(part.file, text, part.columns, wanted, part.line)
        yield Slice(cells.table, cells.lines, cells.ragged)
        return
    import numpy as np
    import pyarrow as pa
    from pyarrow import parquet

    line = part.line
    try:
        with open_bytes(part.address) as stream:
            groups = list(range(part.start, part.end))
            for batch in parquet.ParquetFile(stream).iter_batches(ROWS, groups, columns=wanted, use_threads=False):
                table = pa.Table.from_batches([batch])
                yield Slice(table, np.arange(line, line + table.num_rows), [])
                line += table.num_rows
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{part.file}: damaged from row {line} on: {error}", "write the file again") from error


def _score(piece: Slice, part: Part, job: Job, model: BatchModel, schema: Any) -> Scored:
    """Return the table of predictions, the faults with their lines, in order, and the accepted odd values."""
    import numpy as np
    import pyarrow as pa

    rules, rows = model.checker.rules, piece.table.num_rows
    columns: dict[str, Column] = {
        name: column_of(piece.table.column(name), rules[name], part.kind == "csv", name in model.intervals)
        for name in piece.table.column_names
    }
    good, rejects, odd = check_columns(columns, rows, model.checker, model.accepted)
    count = int(good.sum())
    names = [item["name"] for item in model.scorer.inputs]
    absent = Distinct([None], np.zeros(rows, dtype=np.intp))
    inputs = {name: columns.get(name, absent).typed(rules[name], good) for name in names}
    scored = model.scorer.score(inputs) if count else np.empty((0, max(len(model.classes), 1)))
    if job.with_id and model.id is not None:
        ids = columns[model.id].typed(rules[model.id], good)
        made: list[Any] = [ids if ids.dtype != object else [None if item is None else str(item) for item in ids]]
    else:
        made = [_same(part.file, count), piece.lines[good]]
    made += _decide(np.asarray(scored, dtype=np.float64), model)
    made.append(_same(job.release, count))
    table = pa.table([pa.array(item, field.type) for item, field in zip(made, schema, strict=True)], schema=schema)
    header = len(part.columns)
    faults = [(int(piece.lines[reject.row]), reject) for reject in rejects]
    faults += [
        (line, Reject(-1, "", None, f"has {fields} fields, and the header {header}")) for line, fields in piece.ragged
    ]
    return table, sorted(faults, key=lambda fault: fault[0]), odd


def _decide(scored: NDArray[np.float64], model: BatchModel) -> list[Any]:
    """Return the columns between id and release."""
    import numpy as np

    if model.task == "regression":
        return [scored.reshape(-1)]
    if model.task == "binary":
        probability = scored.reshape(-1)
        return [probability, probability >= model.threshold]
    parts = scored if scored.ndim == 2 else np.column_stack([1 - scored, scored])
    best = np.array(model.classes, dtype=object)[parts.argmax(axis=1)]
    return [*(parts[:, index] for index in range(len(model.classes))), best]


def _same(text: str, count: int) -> Any:
    import pyarrow as pa

    return pa.repeat(pa.scalar(text, pa.string()), count)


def _write_rejects(out: io.StringIO, file: str, faults: list[tuple[int, Reject]]) -> None:
    import csv

    writer = csv.writer(out, lineterminator="\n")
    for line, fault in faults:
        writer.writerow((file, line, fault.column, "" if fault.value is None else fault.value, fault.reason))
