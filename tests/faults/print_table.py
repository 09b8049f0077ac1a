"""Write docs/faults.md from the table of planted faults."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parents[2] / "src")]

from planted.table import PAGE, markdown  # noqa: E402

PAGE.write_text(markdown(), encoding="utf-8")
