from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mainline.ci.pins import check
from mainline.errors import UserError
from mainline.github import GitHub

RIGHT, WRONG = "1" * 40, "2" * 40
TEXT = f"""
  - uses: actions/checkout@{RIGHT} # v7.0.1
  - uses: ./.github/actions/setup
  - uses: actions/cache/restore@{WRONG} # v5.0.3
  - uses: some/action@v2
    with: {{}}
"""


@pytest.fixture
def workflow(tmp_path: Path, hub: Any) -> Path:
    """A workflow with a sound pin, a wrong one and none."""
    hub.commits.update({"v7.0.1": RIGHT, "v5.0.3": RIGHT, "v2": RIGHT})
    file = tmp_path / ".github" / "workflows" / "a.yml"
    file.parent.mkdir(parents=True)
    file.write_text(TEXT)
    return file


def test_a_commit_that_is_not_its_version_is_named(workflow: Path, tmp_path: Path, server: GitHub) -> None:
    wrong = check(tmp_path, lambda _: server, write=False)
    assert wrong == [f"actions/cache@{WRONG}: v5.0.3 is {RIGHT}", f"some/action@v2: v2 is {RIGHT}"]
    assert workflow.read_text() == TEXT


def test_writing_mends_all_of_them(workflow: Path, tmp_path: Path, server: GitHub) -> None:
    assert len(check(tmp_path, lambda _: server, write=True)) == 2
    assert workflow.read_text() == TEXT.replace(WRONG, RIGHT).replace("@v2\n", f"@{RIGHT} # v2\n")
    assert check(tmp_path, lambda _: server, write=False) == []


def test_a_version_that_nobody_knows_is_a_users_mistake(
    workflow: Path, tmp_path: Path, server: GitHub, hub: Any
) -> None:
    del hub.commits["v2"]
    with pytest.raises(UserError, match="404"):
        check(tmp_path, lambda _: server, write=True)
    assert workflow.read_text() == TEXT


def test_a_folder_without_workflows_is_not_taken_for_sound(tmp_path: Path, server: GitHub) -> None:
    with pytest.raises(UserError, match="no workflow"):
        check(tmp_path, lambda _: server, write=False)
