"""Fail when the remote in the repository holds anything but the example's data and the model's outputs, whole."""

from __future__ import annotations

import sys
from pathlib import Path

from mainline.embedded import embedded_faults, lacking
from mainline.objects import EMBEDDED
from mainline.remote import is_embedded


def main() -> int:
    """Return 0 when all is well, else 1 after one line for each fault.

    Where storage of one's own is the default, nothing comes from the embedded remote, and nothing is pushed to it.
    """
    if not is_embedded(Path()):
        return 0
    faults = embedded_faults(Path())
    for fault in faults:
        print(f"mainline: {EMBEDDED.as_posix()}: {fault}", file=sys.stderr)
    if faults:
        print(
            "  fix: rows and new data belong in storage of your own (make remote URL=…); "
            f"`git clean -fd {EMBEDDED.as_posix()}` drops what git does not know, `git restore` brings back the rest",
            file=sys.stderr,
        )
    elif missing := lacking(Path()):
        names = ", ".join(missing[:3]) + (" …" if len(missing) > 3 else "")
        print(
            f"mainline: {EMBEDDED.as_posix()}: {names} is not there; "
            "`mainline repro` puts the outputs of the model there, and so does the pull request's run"
        )
    return int(bool(faults))


if __name__ == "__main__":
    raise SystemExit(main())
