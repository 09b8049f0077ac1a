"""``mainline retrain``: from an approval to a branch and a pull request; nothing is published before all is made."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mainline.config import Settings, load_settings
from mainline.console import say, working
from mainline.errors import UserError
from mainline.markdown import code
from mainline.retrain import pipeline, words
from mainline.retrain.approval import LABEL, Approval, NotApproved, approved
from mainline.retrain.batches import Fresh, Unfit, choose, describe, fetch, put, unknown
from mainline.retrain.clock import move_clock
from mainline.retrain.log_rows import gather
from mainline.retrain.pulls import Desk, Pull
from mainline.retrain.tree import KEY, Repository, workspace

if TYPE_CHECKING:
    from mainline.github import GitHub
    from mainline.monitor.tracker import Tracker

LOG = "log"
INCOMING = Path(".mainline", "incoming")
Result = Literal["opened", "unchanged", "unfit", "no new rows"]
CODES: Mapping[Result, int] = {"opened": 0, "unchanged": 0, "unfit": 1, "no new rows": 3}


@dataclass(frozen=True)
class Ask:
    """What is asked for.

    Attributes:
        issue: number of the issue whose label is the approval; None needs ``by``.
        by: who asks for it, where GitHub itself has checked that they may; empty: the issue's label says.
        source: folder or URI with batches, or "log"; empty: retrain.source of params.yaml.
        as_of: nothing later is taken, and the clock is moved there; None: to the newest row that is taken.
        most: how many of the next batches at most; None: retrain.batches of params.yaml.
        push: push the branch and open the pull request on GitHub; otherwise both stay here.
    """

    issue: int | None = None
    by: str = ""
    source: str = ""
    as_of: dt.date | None = None
    most: int | None = None
    push: bool = False


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    Attributes:
        branch: where the new model is proposed.
        commit: its newest commit that retraining made; None if there is none.
        batches: what was taken, in order of time.
        pull_request: its page, or the file that holds its text; None if there is none.
        reason: in a sentence.
        verdict: what the first comparison said: promote, hold or reject; empty if there was none.
    """

    result: Result
    branch: str
    commit: str | None
    batches: tuple[Fresh, ...]
    pull_request: str | None
    reason: str
    verdict: str = ""

    @property
    def code(self) -> int:
        """Exit code: 0 a pull request is there, 1 the data are not fit, 3 there is nothing to learn from."""
        return CODES[self.result]


@dataclass(frozen=True)
class Job:
    """One retraining with all that it needs; ``base`` is the commit of main that it starts from."""

    ask: Ask
    approval: Approval
    tracker: Tracker
    repository: Repository
    desk: Desk
    base: str
    identity: Mapping[str, str] | None

    def run(self, tree: Path) -> Outcome:
        """Return what came of it; ``tree`` is a clean work tree of ``base``."""
        settings = load_settings(tree / "params.yaml")
        try:
            files, source = self._new(tree, settings)
            chosen = self._next(files, settings)
            if not chosen:
                by = f" by {self.ask.as_of}" if self.ask.as_of else ""
                return self._end("no new rows", f"no new rows: {source}: nothing that the data do not have{by}")
            return self._propose(tree, settings, chosen, files, source)
        except Unfit as fault:
            self._tell(words.unfit(fault.problem, fault.fix))
            return Outcome("unfit", self._branch(None), None, (), None, str(fault))

    def _new(self, tree: Path, settings: Settings) -> tuple[list[Path], str]:
        """Return the batch files that the data do not have, and where they come from, in words."""
        place, data, into = self.ask.source or settings.retrain.source, tree / settings.data.batches, tree / INCOMING
        say(f"new batches: from {place}")
        source = pipeline.pull(tree, place)
        if place == LOG:
            log = os.environ.get("MAINLINE_LOG") or settings.serve.log.folder
            files, about = gather(self._at(log), settings, data, self.ask.as_of or _today(), into)
            return unknown(files, data), f"the prediction log, {about}"
        return unknown(fetch(self._at(source), into), data), place

    def _next(self, files: Sequence[Path], settings: Settings) -> list[Fresh]:
        found = [describe(file, settings) for file in files]
        most = self.ask.most if self.ask.most is not None else settings.retrain.batches
        return choose(found, self.ask.as_of, most)

    def _propose(
        self, tree: Path, settings: Settings, chosen: list[Fresh], files: Sequence[Path], source: str
    ) -> Outcome:
        folder, remote = settings.data.batches, self.ask.push
        as_of = self._clock(settings, chosen, source)
        key = _key(self.base, as_of, chosen)
        branch = self._branch(as_of)
        old = self.repository.head(branch, remote=remote)
        pull = self.desk.find(branch)
        if old and pull and self.repository.made_of(branch, old, self.base) == key:
            return self._again(branch, old, tuple(chosen), pull)
        put(chosen, files, tree / folder)
        if settings.data.time is not None and as_of != settings.data.as_of and settings.data.as_of is not None:
            move_clock(tree / "params.yaml", as_of)
        with working(f"checking {words.count(len(chosen), 'new batch', 'new batches')}"):
            pipeline.validate(tree)
        with working("training"):
            pipeline.train(tree, folder, remote=remote)
        title = words.title(chosen, str(as_of))
        self.repository.git("add", "--update", at=tree)
        self.repository.git("add", "--", ".dvc", at=tree)  # objects of the remote that lives in the repository
        text = words.message(title, chosen, self.approval, f"{KEY} {key}")
        new = self.repository.commit(tree, text, self.identity)
        with working("comparing with the champion"):
            trained = pipeline.measure(tree, self.base)
        clocks = str(settings.data.as_of), str(as_of)
        body = words.body(chosen, self.approval, self.base, clocks, trained, source)
        # From here on others see it: the branch first, since a pull request without one cannot be.
        self.repository.publish(branch, new, old, remote=remote)
        pull = self.desk.show(branch, title, body)
        self.desk.judge(pull, branch)
        self._tell(words.opened(pull, chosen, trained))
        verdict = str(trained.verdict["verdict"]) if trained.verdict else ""
        return Outcome("opened", branch, new, tuple(chosen), pull.url, title, verdict)

    def _again(self, branch: str, head: str, chosen: tuple[Fresh, ...], pull: Pull) -> Outcome:
        """Return that there is nothing to do, once what a killed run has left undone is done."""
        reason = "nothing to do: neither main nor the data have moved since this was proposed"
        if not pull.open:
            reason = "nothing to do: this very retraining was proposed before, and its pull request was closed"
        elif not self.desk.judged(head):
            self.desk.judge(pull, branch)
        return Outcome("unchanged", branch, head, chosen, pull.url, reason)

    def _clock(self, settings: Settings, chosen: Sequence[Fresh], source: str) -> dt.date:
        """Return the as-of date that goes with the new batches; it never goes back."""
        before = settings.data.as_of
        newest = max((item.last for item in chosen), default="")
        wanted = self.ask.as_of or (dt.date.fromisoformat(newest) if newest else _today())
        if self.ask.as_of is None and (self.ask.source or settings.retrain.source) == LOG:
            wanted = _today()  # every row of it has matured by now
        if before is not None and wanted < before:
            if self.ask.as_of is not None:
                raise UserError(f"--as-of {wanted}: before main's, {before}", "name a later date")
            return before
        return wanted

    def _branch(self, as_of: dt.date | None) -> str:
        name = self.approval.issue if self.approval.issue is not None else as_of or self.ask.as_of or _today()
        return f"retrain/{name}"

    def _at(self, place: Path | str) -> str:
        text = str(place)
        return text if "://" in text else str(self.repository.root / text)

    def _end(self, result: Result, reason: str) -> Outcome:
        self._tell(f"No retraining: {code(reason, 400)}.")
        return Outcome(result, self._branch(None), None, (), None, reason)

    def _tell(self, text: str) -> None:
        if self.approval.issue is not None:
            self.tracker.comment(self.approval.issue, text)


def retrain(
    ask: Ask,
    tracker: Tracker,
    *,
    server: GitHub | None = None,
    root: Path = Path(),
    credentials: Mapping[str, str] | None = None,
    identity: Mapping[str, str] | None = None,
) -> Outcome:
    """Propose a model that has learned from the next batches; the work tree in ``root`` stays as it is.

    ``server`` is where the pull request is opened (with ``ask.push``); ``credentials`` is git's environment for the
    remote; ``identity`` is the commit's author (name, email), else the user.

    Raises:
        NotApproved: nobody who may has approved it.
        UserError: git, DVC or GitHub refuse, or the branch holds commits of others; nothing was published.
    """
    root = root.resolve()
    approval = _approval(ask, tracker)
    repository = Repository(root, credentials or {})
    base = repository.base(remote=ask.push)
    job = Job(ask, approval, tracker, repository, Desk(server if ask.push else None, root), base, identity)
    with workspace(repository, base) as tree:
        return job.run(tree)


def _approval(ask: Ask, tracker: Tracker) -> Approval:
    if ask.by:
        return Approval(ask.by, issue=ask.issue)
    if ask.issue is None:
        raise NotApproved(
            "nobody has approved a retraining: no issue is named",
            f"--issue N, with the label `{LABEL}` on it; nothing retrains on drift alone",
        )
    return approved(tracker, ask.issue)


def _key(base: str, as_of: dt.date, chosen: Sequence[Fresh]) -> str:
    """Return what tells one retraining from another: where it starts, its clock, and its new rows."""
    made_of = [base, str(as_of), *([item.name, item.sha256] for item in chosen)]
    return hashlib.sha256(json.dumps(made_of).encode()).hexdigest()[:32]


def _today() -> dt.date:
    return dt.datetime.now(dt.UTC).date()
