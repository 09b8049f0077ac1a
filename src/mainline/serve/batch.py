"""Batch scoring: any number of rows at constant memory, in parts that survive a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

from mainline import console
from mainline.config import load_settings
from mainline.errors import UserError
from mainline.serve.batch_input import Part, Source, find_sources, make_parts
from mainline.serve.batch_model import BatchModel, fingerprint, load_batch_model, release
from mainline.serve.batch_part import Done, Job, output_schema
from mainline.serve.batch_parts import Parts, Totals
from mainline.serve.batch_workers import in_processes, on_dask
from mainline.serve.log_read import file_system

FORMAT = 1  # of the parts; parts of another are not taken over
Advance = Callable[[int, int], None]


def score(where: str, output: str, workers: int, dask: str, advance: Callable[[int], Advance]) -> Totals:
    """Score the rows in ``where`` into ``output``; return how many there were and how many were refused.

    Args:
        where: file, folder, pattern or URI of CSV or Parquet.
        output: ``*.csv`` or ``*.parquet``, a path or a URI. Faults go beside it: ``<output>.rejected.csv``.
        workers: processes; 1 is this one alone.
        dask: address of a Dask scheduler, or empty.
        advance: called with the number of parts; what it returns is called with each part's number of rows and refused
            rows.

    Raises:
        UserError: the input cannot be read, lacks a column or has one too many, or a worker died. What is done stays:
            the same call goes on from there.
    """
    settings = load_settings()
    if not output.endswith((".csv", ".parquet")):
        raise UserError(f"{output}: is neither *.csv nor *.parquet", "give the output one of these endings")
    sources = find_sources(where)
    remote = "://" in output
    _check_apart(where, sources, output)
    name = hashlib.sha256(output.encode()).hexdigest()[:12]
    parts = Parts(Path(".mainline/score") / name if remote else Path(f"{output}.parts"))
    mark = fingerprint()
    chunk = int(settings.score.chunk_mb * 1e6)
    with parts.owned():
        plan = [FORMAT, [(source.name, source.identity) for source in sources], chunk, mark, release()]
        if parts.resume(plan):
            console.say(f"going on with {parts.folder}", "pass")
        todo = list(make_parts(sources, chunk, parts.folder))
        model = load_batch_model(mark)
        job = Job(mark, release(), _has_id(todo, model))
        _check_columns(todo, model)
        step = advance(len(todo))
        _run(todo, job, parts, workers, dask, step)
        local = parts.folder / "joined" if remote else Path(output)
        _finish(parts, len(todo), output_schema(model, job), local, output if remote else "")
        totals = parts.totals(len(todo))
        parts.remove()
    return totals


def _check_apart(where: str, sources: list[Source], output: str) -> None:
    """Raise if writing ``output`` would write over an input, or make it one of the next run's."""
    read = {_place(source.address) for source in sources}
    for made in (output, f"{output}.rejected.csv"):
        if _place(made) in read:
            raise UserError(f"{made}: is the input", "name another output")
    if "://" not in output and _place(str(Path(output).absolute().parent)) == _place(where):
        raise UserError(
            f"{output}: lies in the folder that is read: the same command would take it, or its parts, for input",
            "name an output elsewhere",
        )


def _place(address: str) -> tuple[str, str]:
    """Return file system and path, the same for every way to write them: a path, a link, file://…"""
    fs, path = file_system(address)
    kind = fs.protocol if isinstance(fs.protocol, str) else fs.protocol[0]
    return kind, str(Path(path).resolve()) if kind == "file" else path


def _run(todo: list[Part], job: Job, parts: Parts, workers: int, dask: str, step: Advance) -> None:
    open_parts = []
    for part in todo:
        if parts.is_done(part.number):
            step(0, 0)
        else:
            open_parts.append(part)
    done: Iterator[Done]
    done = on_dask(open_parts, job, dask) if dask else in_processes(open_parts, job, workers)
    for result in done:
        parts.save(result)
        step(result.rows, result.rejected)


def _finish(parts: Parts, count: int, schema: object, local: Path, uri: str) -> None:
    """Write output and rejects, and copy them to ``uri`` if it is not empty."""
    if uri:
        local = local.with_suffix(Path(uri).suffix)
    rejected = local.with_name(f"{local.name}.rejected.csv")
    parts.join_rejects(count, rejected)
    parts.join(count, schema, local)
    if not uri:
        return
    fs, path = file_system(uri)
    try:
        for file, there in ((rejected, f"{path}.rejected.csv"), (local, path)):
            if file.exists():
                fs.put_file(str(file), there)
            elif fs.exists(there):
                fs.rm_file(there)
    except Exception as error:  # each storage has errors of its own
        raise UserError(
            f"{uri}: could not be written ({error})", "check address and keys; run the same again"
        ) from error


def _has_id(todo: list[Part], model: BatchModel) -> bool:
    """Return whether the rows carry the id column.

    Raises:
        UserError: some files have it and some do not.
    """
    having = {model.id in part.columns: part.file for part in todo}
    if len(having) == 2:
        raise UserError(
            f"{having[False]}: has no column {model.id}, and {having[True]} has one",
            "give all files the id, or none of them",
        )
    return True in having


def _check_columns(todo: list[Part], model: BatchModel) -> None:
    """Raise if a file lacks a column that the model needs, or has one that no rule is known for."""
    checker = model.checker
    left_out: dict[str, None] = {}
    for file, names in dict.fromkeys((part.file, part.columns) for part in todo):
        lacking = [name for name in checker.required if name not in names and name not in model.accepted]
        if lacking:
            raise UserError(f"{file}:1: no column {', '.join(lacking)}", "the model needs it: deliver the file again")
        left_out |= dict.fromkeys(name for name in names if name in model.later)
        extra = [name for name in names if name not in checker.rules and name not in model.later]
        if extra:
            known = ", ".join(checker.rules)
            raise UserError(
                f"{file}:1: column {extra[0]!r} is not in the schema", f"take it out, or name it right: {known}"
            )
    if left_out:
        console.say(f"left out, because it is known only after the event: {', '.join(left_out)}")
