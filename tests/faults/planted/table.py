"""The table of planted faults. One test runs every line; docs/faults.md shows them."""

from __future__ import annotations

from pathlib import Path

from planted.on_data import DATA
from planted.on_files import FILES
from planted.on_model import MODELS
from planted.on_workflows import WORKFLOWS
from planted.plants import Fault

FAULTS: list[Fault] = [*DATA, *MODELS, *FILES, *WORKFLOWS]
PAGE = Path(__file__).parents[3] / "docs" / "faults.md"
HEAD = """# Planted faults

The test suite plants each of these faults into a copy of the example and takes it the way of a pull request. It fails
if one gets through, is stopped by another gate, or without the words. The same way without a fault must be open, so
that a gate that always stops is found as well. `python tests/faults/print_table.py` writes this page.

`stops`: the command ends with an error before there is a verdict. `seen`: it may pass, and the reviewer is told.

| planted in | fault | way | stopped by | ends in | it says |
|---|---|---|---|---|---|
"""


def markdown() -> str:
    """Return docs/faults.md."""
    return HEAD + "".join(f"| {' | '.join(_cells(fault))} |\n" for fault in FAULTS)


def _cells(fault: Fault) -> list[str]:
    way = ", ".join(f"`{command}`" for command in fault.way)
    says = " … ".join(_cell(words) for words in fault.says)
    gate = f"validate: {fault.gate or 'the batch'}" if fault.way == ("mainline validate",) else fault.gate
    return [fault.kind, fault.name, way, gate, fault.verdict, says]


def _cell(words: str) -> str:
    return words.replace("|", "\\|").replace("<", "&lt;")
