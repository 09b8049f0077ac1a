"""What a retraining says: the pull request, the commit, and the comments on the issue."""

from __future__ import annotations

import re
import unicodedata
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mainline.markdown import code

if TYPE_CHECKING:
    from mainline.retrain.approval import Approval
    from mainline.retrain.batches import Fresh
    from mainline.retrain.pipeline import Trained
    from mainline.retrain.pulls import Pull


def title(chosen: Sequence[Fresh], as_of: str) -> str:
    """Return the pull request's title, which is the commit's, too."""
    rows = sum(item.rows for item in chosen)
    return f"Retrain as of {as_of}: {count(len(chosen), 'batch', 'batches')}, {count(rows, 'row')} more"


def message(head: str, chosen: Sequence[Fresh], approval: Approval, key: str) -> str:
    """Return the commit message; its last line lets a second run know what this one has made."""
    lines = [f"- {git_words(item.name)}: {count(item.rows, 'row')}" for item in chosen]
    about = f"For #{approval.issue}. " if approval.issue else ""
    return "\n".join([head, "", *lines, "", f"{about}Approved by {git_words(approval.by)}.", "", key, ""])


def body(
    chosen: Sequence[Fresh], approval: Approval, base: str, clocks: tuple[str, str], trained: Trained, source: str
) -> str:
    """Return the pull request's text in Markdown. ``clocks``: the as-of date before and after."""
    since = f" ({approval.when})" if approval.when else ""
    issue = f"For #{approval.issue}. " if approval.issue else ""
    train, test = trained.split["train"], trained.split["test"]
    return "\n".join(
        [
            f"{issue}Approved by {code(approval.by)}{since}.",
            "",
            "### Data",
            "",
            f"From {code(source)}; `data.as_of` moves from {clocks[0]} to **{clocks[1]}**.",
            "",
            "| new batch | rows | positives | from | to | sha256 |",
            "|---|---:|---:|---|---|---|",
            *(_row(item) for item in chosen),
            "",
            f"Training rows: {train['rows']:,}{_span(train)}; test rows: {test['rows']:,}{_span(test)}.",
            "",
            "### Models",
            "",
            *_models(trained.verdict, base),
            "",
            "The workflow `pull request` judges this branch as any other: the status `mainline/verdict` decides. "
            "Merging makes the new model the champion and begins its release; closing this changes nothing.",
            "",
        ]
    )


def opened(pull: Pull, chosen: Sequence[Fresh], trained: Trained) -> str:
    """Return the comment on the issue about a pull request."""
    where = f"#{pull.number}" if pull.number else pull.url
    names = ", ".join(code(item.name) for item in chosen)
    verdict = f" First comparison: {trained.verdict['verdict']}." if trained.verdict else ""
    return f"A retraining is proposed in {where}: {names}.{verdict}"


def unfit(problem: str, fix: str) -> str:
    """Return the comment on the issue about new data that must not be learned from."""
    lines = [line for line in problem.splitlines() if line.strip()]
    return "\n".join(
        [
            "**No retraining: the new data are not fit to learn from.** No branch was pushed, no pull request opened.",
            "",
            *(f"- {code(line, 600)}" for line in lines),
            "",
            f"What helps: {code(fix, 600)}. Then take the label `retrain-approved` off and put it on again.",
        ]
    )


def refused(problem: str, fix: str) -> str:
    """Return the comment on the issue about a label that does not count."""
    return f"The label was taken off again: {code(problem, 300)}. To approve: {code(fix, 300)}."


def stopped(problem: str, fix: str, url: str) -> str:
    """Return the comment on the issue about a retraining that could not be done."""
    page = f" ({url})" if url else ""
    what = f"The retraining stopped{page}, and nothing was published: {code(problem, 600)}"
    return f"{what}\n\nWhat helps: {code(fix, 600)}. Then take the label off and put it on again."


def count(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def git_words(text: str, longest: int = 160) -> str:
    """Return ``text`` from outside as it may stand in a commit message: letters, digits and a few signs, on one line.

    Every other character is written as ``%`` and its bytes in hex. So a file name cannot add a trailer
    (``Retrain-Key:``), and cannot close an issue (``closes #5``, ``closes GH-5``), mention a user or skip the
    workflows (``[skip ci]``), as GitHub reads them in the messages on its default branch.
    """
    encoded = "".join(
        sign if _plain(sign) else urllib.parse.quote(sign.encode("utf-8", "surrogatepass"), safe="")
        for sign in text[:longest]
    )
    return re.sub(r"(?i)(gh)-(?=\d)", r"\1%2D", encoded)


def _plain(sign: str) -> bool:
    """Return whether a character is a letter, a mark upon one, a digit, or a sign that means nothing to GitHub."""
    return unicodedata.category(sign)[0] in "LMN" or sign in " ._-+=,()'"


def _row(item: Fresh) -> str:
    positives = "" if item.positives is None else f"{item.positives:,} ({item.positives / max(item.rows, 1):.1%})"
    return f"| {code(item.name)} | {item.rows:,} | {positives} | {item.first} | {item.last} | `{item.sha256[:12]}` |"


def _span(window: Mapping[str, Any]) -> str:
    return f" ({window['from']} to {window['to']})" if window.get("from") else ""


def _models(verdict: Mapping[str, Any] | None, base: str) -> list[str]:
    if verdict is None:
        return [
            "They could not be compared here; the log of this run says why, and the pull request's run tries again."
        ]
    metrics = [entry for entry in verdict["metrics"] if entry["difference"] is not None]
    table = [
        "| metric | champion | challenger | difference | interval |",
        "|---|---:|---:|---:|---|",
        *(
            f"| {entry['metric']} | {entry['champion']:.4f} | {entry['challenger']:.4f} "
            f"| {entry['difference']['value']:+.4f} "
            f"| {entry['difference']['low']:+.4f} to {entry['difference']['high']:+.4f} |"
            for entry in metrics
        ),
        "",
    ]
    window = verdict["window"]
    span = f", {window['from']} to {window['to']}" if window.get("from") else ""
    about = f"Both on the same {verdict['rows']:,} rows{span}; the champion is that of main at {base[:12]}."
    first = f"First comparison: **{verdict['verdict']}**: {code(str(verdict['reason']), 400)}"
    return [about, "", *(table if metrics else []), first]
