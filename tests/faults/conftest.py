"""The base that every fault is planted in, made once; and the folder of the table on the path."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from planted.site import Site, copy_site, make_site  # noqa: E402


@pytest.fixture(scope="session")
def base(forked: Any, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A repository whose main has a champion, and whose branch has no fault yet."""
    return make_site(tmp_path_factory.mktemp("base") / "a", forked)


@pytest.fixture
def copied(request: Any, tmp_path: Path) -> Callable[[], Site]:
    """Return the function that makes a copy of the base; the base is made when the first copy is asked for."""
    return lambda: copy_site(request.getfixturevalue("base"), tmp_path / "copy")
