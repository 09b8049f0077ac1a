"""Issues as files: ``<number>.md`` with YAML front matter. Put a label on, or close, by editing the file."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mainline.errors import UserError
from mainline.files import write_atomic
from mainline.monitor.tracker import LABEL, Issue

FENCE = "---\n"
YOU = "you"  # a file does not know who edited it


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True)
class LocalTracker:
    """The issues in ``folder``; see :class:`mainline.monitor.tracker.Tracker`."""

    folder: Path
    now: Callable[[], dt.datetime] = field(default=_now, compare=False)

    def find(self, mark: str) -> Issue | None:
        """Return the newest issue whose body begins with ``mark``."""
        return next((issue for issue in self.all() if issue.body.startswith(mark)), None)

    def all(self) -> list[Issue]:
        """Return every issue of ours, newest first.

        Raises:
            UserError: a file cannot be read, and which.
        """
        found = (self._read(number)[0] for number in sorted(self._numbers(), reverse=True))
        return [issue for issue in found if LABEL in issue.labels]

    def create(self, title: str, body: str, labels: tuple[str, ...]) -> Issue:
        """Open an issue."""
        number = max(self._numbers(), default=0) + 1
        self._write(Issue(number, title, body, labels, open=True), {"comments": [], "labelled": {}}, by_us=labels)
        return self._read(number)[0]

    def update(
        self,
        number: int,
        *,
        title: str | None = None,
        body: str | None = None,
        open: bool | None = None,  # noqa: A002
        labels: tuple[str, ...] | None = None,
    ) -> Issue:
        """Change what is given."""
        issue, rest = self._read(number)
        closed_at = "" if open else (self._time() if open is False and issue.open else issue.closed_at)
        changed = Issue(
            number=number,
            title=issue.title if title is None else title,
            body=issue.body if body is None else body,
            labels=issue.labels if labels is None else labels,
            open=issue.open if open is None else open,
            closed_at=closed_at,
        )
        self._write(changed, rest, by_us=tuple(name for name in changed.labels if name not in issue.labels))
        return self._read(number)[0]

    def comment(self, number: int, body: str) -> None:
        """Add a comment, unless one with the same text is there."""
        issue, rest = self._read(number)
        if body.strip() not in {str(entry["body"]).strip() for entry in rest["comments"]}:
            rest["comments"].append({"time": self._time(), "body": body})
            self._write(issue, rest)

    def may_write(self, user: str) -> bool:
        """Return True: who can write to the folder may."""
        return True

    def labelled_by(self, number: int, label: str) -> tuple[str, str] | None:
        """Return "you" and when the label was first seen on the issue, if it is on."""
        issue, rest = self._read(number)
        return (YOU, str(rest["labelled"][label])) if label in issue.labels else None

    def comments(self, number: int) -> list[str]:
        """Return the comments of an issue, oldest first."""
        return [str(entry["body"]) for entry in self._read(number)[1]["comments"]]

    def _numbers(self) -> list[int]:
        return [int(path.stem) for path in self.folder.glob("*.md") if path.stem.isdigit()]

    def _path(self, number: int) -> Path:
        return self.folder / f"{number}.md"

    def _time(self) -> str:
        return f"{self.now():%Y-%m-%dT%H:%M:%SZ}"

    def _read(self, number: int) -> tuple[Issue, dict[str, Any]]:
        import yaml

        path = self._path(number)
        try:
            head, body = path.read_text(encoding="utf-8").removeprefix(FENCE).split(f"\n{FENCE}", 1)
            raw = yaml.safe_load(head)
            changed = f"{dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC):%Y-%m-%dT%H:%M:%SZ}"
            labels = tuple(str(name) for name in raw.get("labels") or ())
            known = {str(name): str(time) for name, time in (raw.get("labelled") or {}).items()}
            # A label that a person wrote into the file was put on when the file was last changed.
            labelled = {name: known.get(name, changed) for name in labels}
            issue = Issue(
                number=number,
                title=str(raw["title"]),
                body=body.removeprefix("\n").removesuffix("\n"),
                labels=labels,
                open=bool(raw["open"]),
                url=str(path),
                closed_at=str(raw.get("closed_at") or ""),
                updated_at=str(raw.get("updated_at") or changed),
            )
            comments = [{"time": str(item["time"]), "body": str(item["body"])} for item in raw.get("comments") or ()]
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such issue", f"look into {self.folder}") from error
        except (ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
            raise UserError(f"{path}: is no issue ({error})", "mend its front matter, or remove the file") from error
        return issue, {"labelled": labelled, "comments": comments}

    def _write(self, issue: Issue, rest: dict[str, Any], by_us: tuple[str, ...] = ()) -> None:
        import yaml

        labelled = rest["labelled"] | dict.fromkeys(by_us, self._time())
        head = {
            "title": issue.title,
            "open": issue.open,
            "labels": list(issue.labels),
            "closed_at": issue.closed_at,
            "updated_at": self._time(),
            "labelled": {name: time for name, time in labelled.items() if name in issue.labels},
            "comments": rest["comments"],
        }
        text = yaml.safe_dump(head, sort_keys=False, allow_unicode=True, width=120)
        write_atomic(self._path(issue.number), f"{FENCE}{text}{FENCE}\n{issue.body}\n")
