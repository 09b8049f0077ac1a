"""Moving ``data.as_of`` on in params.yaml, and nothing else in it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import yaml

from mainline.errors import UserError
from mainline.files import write_atomic


def move_clock(path: Path, as_of: dt.date) -> None:
    """Put ``as_of`` in the place of the value of ``data.as_of``; comments and all other bytes stay.

    Raises:
        UserError: the file has no such key.
    """
    text = path.read_bytes().decode("utf-8")
    node = _value(yaml.compose(text), "data", "as_of")
    if node is None:
        raise UserError(f"{path}: no key data.as_of", "put it back; docs/make-it-yours.md lists every key")
    changed = f'{text[: node.start_mark.index]}"{as_of.isoformat()}"{text[node.end_mark.index :]}'
    before, after = yaml.safe_load(text), yaml.safe_load(changed)
    if after != before | {"data": before["data"] | {"as_of": as_of.isoformat()}}:
        raise UserError(f"{path}: data.as_of cannot be replaced where it stands", "write it on one line of its own")
    write_atomic(path, changed.encode("utf-8"))


def _value(node: yaml.Node | None, *keys: str) -> yaml.Node | None:
    for key in keys:
        if not isinstance(node, yaml.MappingNode):
            return None
        node = next((value for name, value in node.value if name.value == key), None)
    return node
