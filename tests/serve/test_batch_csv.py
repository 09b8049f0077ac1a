"""Cuts between records: whatever the size of a part, the same rows with the same lines."""

from __future__ import annotations

import csv
import io

import numpy as np
import pytest

from mainline.errors import UserError
from mainline.serve.batch_csv import cut, read_cells, read_head

VALUES = ("", "1", "a b", 'say "hi"', "x,y", "two\nlines", "\n\n", "Zürich", "ends\r\nhere", '"', "漢字\n")


def made(seed: int, rows: int, end: str) -> tuple[bytes, list[list[str | None]], list[int]]:
    """Return a CSV file, the rows that are in it (empty: None), and the line of each."""
    generator = np.random.default_rng(seed)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=end)
    writer.writerow(["a", "b", "c"])
    table, lines = [], []
    for index in range(rows):
        row = [f"r{index}", *(str(value) for value in generator.choice(VALUES, 2))]
        lines.append(out.getvalue().count("\n") + 1)
        writer.writerow(row)
        table.append([value or None for value in row])
    return out.getvalue().encode(), table, lines


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 20, 64, 100_000])
@pytest.mark.parametrize("seed", range(4))
def test_every_size_of_part_gives_the_same_rows_and_lines(seed: int, chunk: int) -> None:
    text, table, lines = made(seed, 60, "\r\n" if seed % 2 else "\n")
    if seed == 3:
        text = text.rstrip(b"\r\n")  # no end of the last line
    stream = io.BytesIO(text)
    head = read_head("x.csv", stream)
    found, where, last = [], [], head.end
    for start, end, line in cut("x.csv", stream, head, chunk):
        assert start == last and end > start
        cells = read_cells("x.csv", text[start:end], head.names, ["c", "a", "b"], line)
        found += [[row["a"], row["b"], row["c"]] for row in cells.table.to_pylist()]
        where += cells.lines.tolist()
        assert not cells.ragged
        last = end
    assert last == len(text)
    assert found == table and where == lines


def test_rows_with_other_numbers_of_fields_are_told_by_line_and_the_rest_is_kept() -> None:
    text = b'1,"x\ny",3\n4,5\n6,7,8\n9,10,11,12\n\n13,14,15\n'
    cells = read_cells("x.csv", text, ("a", "b", "c"), ["a"], 10)
    assert cells.table.column("a").to_pylist() == ["1", "6", None, "13"]
    assert cells.lines.tolist() == [10, 13, 15, 16]
    assert cells.ragged == [(12, 2), (14, 4)]


def test_a_record_that_never_ends_is_stopped_before_it_fills_the_memory(monkeypatch) -> None:
    monkeypatch.setattr("mainline.serve.batch_csv.RECORD", 1000)
    text = b'a,b\n1,2\n3,"' + b"x\n" * 50_000
    read = []

    class Counted(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            read.append(size)
            return super().read(size)

    stream = Counted(text)
    head = read_head("x.csv", stream)
    with pytest.raises(UserError, match="x.csv:3: a quote is opened and never closed"):
        list(cut("x.csv", stream, head, 100))
    assert len(read) < 20


def test_quotes_within_bare_values_stop_with_the_line_of_the_first() -> None:
    # Arrow takes them for letters, and then no line can be told any more
    with pytest.raises(UserError, match="x.csv:12: a quote stands in a value"):
        read_cells("x.csv", b'1,2\n3,4\n5,5" x\n7,8\n9,6" y\n', ("a", "b"), ["b"], 10)


def test_a_head_without_rows_has_no_part() -> None:
    for text in (b"a,b", b"a,b\n", b"\xef\xbb\xbfa,b\r\n"):
        stream = io.BytesIO(text)
        head = read_head("x.csv", stream)
        assert head.names == ("a", "b") and list(cut("x.csv", stream, head, 10)) == []
