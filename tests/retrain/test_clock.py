from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from mainline.errors import UserError
from mainline.retrain.clock import move_clock

DAY = dt.date(2009, 8, 31)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('data:\n  id: x  # a\n  as_of: "2009-05-31"   # clock\n\nx: {as_of: 1}\n',
         'data:\n  id: x  # a\n  as_of: "2009-08-31"   # clock\n\nx: {as_of: 1}\n'),
        ("x:\n  as_of: 1\ndata: {as_of: '2009-05-31', id: x}  # flow\r\n",
         'x:\n  as_of: 1\ndata: {as_of: "2009-08-31", id: x}  # flow\r\n'),
    ],
)  # fmt: skip
def test_only_the_value_changes(tmp_path: Path, before: str, after: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(before.encode())
    move_clock(path, DAY)
    assert path.read_bytes().decode() == after


@pytest.mark.parametrize("text", ["data:\n  id: x\n", "x: 1\n", "- 1\n", ""])
def test_a_file_without_the_key_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"no key data\.as_of"):
        move_clock(path, DAY)
    assert path.read_text(encoding="utf-8") == text
