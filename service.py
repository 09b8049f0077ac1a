"""What `bentoml build` and `bentoml serve` load; the code is in src/."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "src"))

from mainline.numerics import pin  # noqa: E402

pin()  # before the next line loads NumPy

from mainline.serve.service import make_service  # noqa: E402

service = make_service(ROOT)
