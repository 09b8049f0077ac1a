"""The repository's runs and their artifacts on GitHub: which of them main's own workflow has made, and their bytes."""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.github_call import CAUSES, SECONDS, Connection, NoRedirect

LARGEST_FILE = 2 * 1024 * 1024 * 1024
PAGES = 20


@dataclass(frozen=True)
class Artifacts(Connection):
    """What is asked of the workflows' runs."""

    def default_branch(self) -> str:
        """Return the name of the branch that pull requests go to.

        Raises:
            UserError: GitHub does not say it.
        """
        found = self.call("GET", "")
        name = found.get("default_branch") if isinstance(found, dict) else None
        if not name:
            raise UserError(f"GitHub: {self.repository} has no default branch", "push a branch first")
        return str(name)

    def run(self, number: int) -> dict[str, Any]:
        """Return what GitHub knows of a workflow's run."""
        found = self.call("GET", f"actions/runs/{number:d}")
        return found if isinstance(found, dict) else {}

    def artifacts(self, name: str, workflow: str) -> Iterator[int]:
        """Yield the artifacts of that name that a run of ``workflow`` on the default branch has uploaded, newest first.

        Any run may upload an artifact of any name, also the run of a fork's pull request, which is listed here too.
        """
        listed: list[dict[str, Any]] = []
        for page in range(1, PAGES + 1):
            asked = f"actions/artifacts?per_page=100&page={page}&name={urllib.parse.quote(name, safe='')}"
            found = self.call("GET", asked)
            entries = found.get("artifacts") or [] if isinstance(found, dict) else []
            listed += [entry for entry in entries if entry.get("name") == name and not entry.get("expired")]
            if len(entries) < 100:
                break
        branch = self.default_branch() if listed else ""
        for entry in sorted(listed, key=lambda item: -int(item["id"])):
            if self._is_ours(entry.get("workflow_run") or {}, branch, workflow):
                yield int(entry["id"])

    def _is_ours(self, known: Mapping[str, Any], branch: str, workflow: str) -> bool:
        home = known.get("repository_id")
        if not home or known.get("head_repository_id") != home or known.get("head_branch") != branch:
            return False
        run = self.run(int(known["id"]))
        return (
            run.get("event") in ("push", "workflow_dispatch")
            and run.get("head_branch") == branch
            and str(run.get("path")).partition("@")[0] == workflow
        )

    def run_artifacts(self, run: int, name: str) -> list[dict[str, Any]]:
        """Return the artifacts of that name which a run has uploaded and which have not expired, newest first."""
        named = urllib.parse.quote(name, safe="")
        found = self.call("GET", f"actions/runs/{run:d}/artifacts?per_page=100&name={named}")
        entries = found.get("artifacts") or [] if isinstance(found, dict) else []
        there = [entry for entry in entries if entry.get("name") == name and not entry.get("expired")]
        return sorted(there, key=lambda entry: int(entry["id"]), reverse=True)

    def download(self, artifact: int, file: Path, largest: int = LARGEST_FILE) -> None:
        """Write an artifact, a ZIP archive, to ``file``. The token goes to the API alone, not to where that points.

        Raises:
            UserError: it has expired, does not come, or is larger than ``largest`` bytes.
        """
        what = f"GitHub: artifact {artifact} of {self.repository}"
        try:
            with self._open("GET", f"actions/artifacts/{artifact:d}/zip", None):
                raise UserError(f"{what}: the API sent no address", "check GITHUB_API_URL")
        except urllib.error.HTTPError as error:
            address = error.headers.get("Location", "")
            if error.code != 302 or not encrypted(address):
                raise UserError(f"{what}: {error.code}", CAUSES.get(error.code, "it may have expired")) from error
        except OSError as error:
            raise UserError(f"{what}: no answer ({error})", "run the job again") from error
        try:
            with (
                urllib.request.build_opener(NoRedirect).open(address, timeout=SECONDS) as answer,
                file.open("wb") as stream,
            ):
                while block := answer.read(1024 * 1024):
                    if stream.tell() + len(block) > largest:
                        raise UserError(f"{what}: is larger than {largest:,} bytes", "build the release again")
                    stream.write(block)
        except OSError as error:
            raise UserError(f"{what}: did not come whole ({error})", "run the job again") from error


def encrypted(address: str) -> bool:
    """Return whether what is sent to ``address`` is encrypted, or stays on this machine."""
    return bool(re.match(r"https://|http://(127\.0\.0\.1|localhost)[:/]", address + "/"))
