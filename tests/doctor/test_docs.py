from __future__ import annotations

import re
from pathlib import Path

from mainline.doctor.levels import LEVELS
from mainline.doctor.run import CHECKS

DOCS = Path(__file__).parents[2] / "docs"
TEXT = (DOCS / "doctor.md").read_text(encoding="utf-8")


def test_the_page_has_the_levels_and_every_check_as_they_are() -> None:
    rows = {int(row[0]): (row[1], row[2]) for row in re.findall(r"^\| (\d) \| (.*?) \| (.*?) ?\|$", TEXT, re.M)}
    assert rows == {level.number: (level.name, ", ".join(level.checks)) for level in LEVELS}
    listed = re.findall(r"^\| (.*?) \|", TEXT.split("## Checks")[1], re.M)[1:]
    names = [check.name for check in CHECKS if not check.name.startswith("workflow ")]
    assert [name for name in listed if name != "workflow …"] == names


def test_the_first_hour_has_every_step_in_the_order_of_the_list() -> None:
    text = (DOCS / "first-hour.md").read_text(encoding="utf-8").split("## The list")[1].split("\n## ")[0]
    sections = {part.split("\n")[0].strip().lower(): part for part in text.split("\n### ")[1:]}
    areas = list(dict.fromkeys(check.area for check in CHECKS))
    assert [name for name in sections if name in {area.lower() for area in areas}] == [area.lower() for area in areas]
    for area in areas:
        wanted = [check.name for check in CHECKS if check.area == area]
        found = [name for name in re.findall(r"`([^`]+)`", sections[area.lower()]) if name in wanted]
        assert list(dict.fromkeys(found)) == wanted, area


def test_the_readme_links_the_first_hour_on_its_first_screen_and_every_link_of_it_leads_somewhere() -> None:
    readme = (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert "(docs/first-hour.md)" in "\n".join(readme.splitlines()[:20])
    text = (DOCS / "first-hour.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]*)(?:#[\w-]+)?\)", text):
        assert not target or (DOCS / target).is_file(), target
    headings = {
        re.sub(r"[^\w -]", "", line).strip().lower().replace(" ", "-") for line in re.findall(r"^#+ (.*)$", text, re.M)
    }
    pages = [file.read_text(encoding="utf-8") for file in DOCS.glob("*.md")]
    named = {name for page in pages for name in re.findall(r"first-hour\.md#([\w-]+)", page)} | set(
        re.findall(r"\(#([\w-]+)\)", text)
    )
    assert named <= headings
