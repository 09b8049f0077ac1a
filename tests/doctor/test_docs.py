from __future__ import annotations

import re
from pathlib import Path

from mainline.doctor.levels import LEVELS
from mainline.doctor.run import CHECKS

TEXT = (Path(__file__).parents[2] / "docs" / "doctor.md").read_text(encoding="utf-8")


def test_the_page_has_the_levels_and_every_check_as_they_are() -> None:
    rows = {int(row[0]): (row[1], row[2]) for row in re.findall(r"^\| (\d) \| (.*?) \| (.*?) ?\|$", TEXT, re.M)}
    assert rows == {level.number: (level.name, ", ".join(level.checks)) for level in LEVELS}
    listed = re.findall(r"^\| (.*?) \|", TEXT.split("## Checks")[1], re.M)[1:]
    names = [check.name for check in CHECKS if not check.name.startswith("workflow ")]
    assert [name for name in listed if name != "workflow …"] == names
