"""The issue about a release that was aborted or taken back: one a release, with the evidence of the ledger.

It is closed when a later try has promoted the release.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from mainline.console import say, warn
from mainline.github import GitHub
from mainline.github_call import Refused
from mainline.markdown import code
from mainline.release.ledger import Deploy, Entry, Transition
from mainline.release.state import State

LABEL = "release"
BUILD = "<!-- mainline:release-build -->"  # what the issue about a run without a release begins with
GONE = 410  # GitHub's answer where issues are switched off
TITLES = {"abort": "was aborted", "rollback": "was rolled back"}


DECIDED = {*TITLES, "promote"}


def report(release: str, deploy: Deploy, server: GitHub, url: str = "") -> int | None:
    """Open or bring up to date the issue about ``release``; return its number.

    When the last that was decided is a promotion there is nothing to report: an issue that is still open is closed.
    None is returned when there is none.

    Raises:
        UserError: the ledger does not know it, or GitHub refuses.
    """
    entry = deploy.entry(release)
    decided = [item for item in entry.transitions if item.event in DECIDED]
    last = decided[-1] if decided else None
    if last and last.event == "promote":
        return _settle(entry.release, last, server, url)
    evidence = (deploy.evidence(last) or {}) if last else {}
    title = f"Release {release} " + (TITLES[last.event] if last else "did not come to an end")
    number = server.issue(mark(release), title, body(entry, last, evidence, deploy.state("production"), url), LABEL)
    say(f"issue #{number}: {title}", "warn")
    return number


def report_build(commit: str, why: str, server: GitHub, url: str = "") -> int:
    """Open or bring up to date the issue about a run of the workflow that came to no release; return its number.

    Raises:
        UserError: GitHub refuses.
    """
    reason = f"\n\n{code(why, 2000)}" if why else ""
    run = f"[its run]({url})" if url else "its run"
    text = (
        f"The workflow `release` stopped before there was a release of commit {commit}; {run} says where.{reason}\n\n"
        "What runs in production stays as it is. The next run that comes through closes this issue.\n"
    )
    number = server.issue(BUILD, "No release was made of main", text, LABEL)
    say(f"issue #{number}: no release was made of {commit[:12]}", "warn")
    return number


def settle_build(server: GitHub, url: str = "") -> None:
    """Close the issue of :func:`report_build`, if it is open.

    Raises:
        UserError: GitHub refuses.
    """
    number = server.open_issue(BUILD, LABEL)
    if number is not None:
        server.close_issue(number, "A later run came through" + (f": {url}" if url else "") + ". So this is done.")
        say(f"issue #{number}: closed, for a later run came through", "pass")


def any_open(server: GitHub) -> bool:
    """Return whether an issue of the workflow's may be open; where issues are switched off, none is.

    Raises:
        UserError: GitHub refuses.
    """
    try:
        found = server.call("GET", f"issues?state=open&labels={LABEL}&per_page=1")
    except Refused as refusal:
        if refusal.code == GONE:
            return False
        raise
    return bool(found)


def tell(
    release: str,
    deploy: Callable[[], Deploy],
    server: GitHub,
    *,
    url: str = "",
    build: str = "",
    commit: str = "",
    why: str = "",
) -> None:
    """Bring the workflow's issues into line with what came of a run.

    Args:
        release: empty: the run was not about one.
        deploy: opens the ledger.
        server: where the issues are.
        url: page of the run.
        build: result of the job that builds; "failure" has an issue of its own, and "success" closes it.
        commit: what the run was about.
        why: what the failed job said.

    Raises:
        UserError: the ledger cannot be read, or GitHub refuses. Issues that are switched off are a warning only.
    """
    try:
        if build == "failure":
            report_build(commit, why, server, url)
            return
        if build == "success":
            settle_build(server, url)
        if release:
            report(release, deploy(), server, url)
    except Refused as refusal:
        if refusal.code != GONE:
            raise
        warn(f"no issue was written: {refusal.problem}; {refusal.fix}")


def _settle(release: str, promoted: Transition, server: GitHub, url: str) -> int | None:
    number = server.open_issue(mark(release), LABEL)
    if number is None:
        say(f"{release} was promoted, and no issue about it is open", "pass")
        return None
    run = f" (its run: {url})" if url else ""
    why = f"Tried again, and promoted in {promoted.environment}, {promoted.time}: {code(promoted.why, 2000)}{run}."
    server.close_issue(number, f"{why} So this is done.")
    say(f"issue #{number}: closed, for {release} was promoted", "pass")
    return number


def mark(release: str) -> str:
    """Return what the issue of a release begins with, unseen by people."""
    return f"<!-- mainline:release:{release} -->"


def body(entry: Entry, last: Transition | None, evidence: Mapping[str, Any], state: State, url: str) -> str:
    """Return the issue's text: what, why, the checks with their bounds, all transitions, and what can be done."""
    lines = [f"Commit {entry.commit}" + (f", from #{entry.pull_request}" if entry.pull_request else "") + "."]
    if last is None:
        lines += ["", "The run stopped before anything was decided; its log says why."]
    else:
        lines += ["", f"**{last.event} in {last.environment}**, {last.time}: {code(last.why, 2000)}"]
    lines += ["", f"Stable in production now: `{state.stable}`." if state.stable else "Nothing is stable yet."]
    if state.candidate == entry.release:
        lines += ["", f"It is still the candidate ({state.phase or 'starting'}, {state.weight} %)."]
    if checks := evidence.get("checks"):
        lines += ["", "| check | outcome | value | bound | n | in words |", "|---|---|---|---|---|---|"]
        lines += [_row(check) for check in checks]
    lines += ["", "| time | environment | event | users | by | why |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {item.time} | {item.environment} | {item.event} | {'' if item.weight is None else f'{item.weight} %'} "
        f"| {code(item.by)} | {code(item.why, 400)} |"
        for item in entry.transitions
    ]
    run = f" (its run: {url})" if url else ""
    return "\n".join([
        *lines, "",
        f"The evidence stands on branch `deploy`: `git log -p origin/deploy -- ledger/{entry.release}.yaml`{run}.", "",
        "- The cause is in the release: mend it in a pull request; the merge is a release of its own.",
        f"- The cause was elsewhere: start the workflow `release` with the id `{entry.release}`.",
        "- Users still get something bad: start the workflow `rollback`.", "",
        "A merge that does not change what is served does not try this release again.", "",
    ])  # fmt: skip


def _row(check: Mapping[str, Any]) -> str:
    """Return a table row; checks of staging have ``check`` and ``passed``, those of the analysis name and outcome."""
    outcome = check.get("outcome") or ("passed" if check.get("passed") else "failed")
    value, bound = (
        f"{item:.4g}" if isinstance(item := check.get(key), float | int) else "" for key in ("value", "bound")
    )
    number = check.get("n")
    cells = (
        code(str(check.get("name") or check.get("check"))), code(str(outcome)), value, bound,
        f"{number:,}" if isinstance(number, int) else "", code(str(check.get("text")), 400),
    )  # fmt: skip
    return "| " + " | ".join(cells) + " |"
