"""The end of the workflow `report`: decide about a finished run, tell GitHub, and hand on what the next steps need."""

from __future__ import annotations

from mainline.ci.event import put
from mainline.ci.hand_over import hand_over
from mainline.ci.here import Here
from mainline.ci.report import Run, decide
from mainline.ci.tell import FOLDER, tell
from mainline.github_call import short


def conclude(run: Run | None, here: Here, url: str = "") -> None:
    """Tell what is decided about ``run``, None for a run of another workflow (GITHUB_OUTPUT).

    Output ``push``, with ``commit``, ``run`` and ``description``: the job `push` has to bring outputs to storage before
    the status is a success. Output ``comment``: there is a comment that CML may post.

    Raises:
        UserError: GitHub or git refuse.
    """
    finding = decide(run, here) if run else None
    if run and finding:
        waits = hand_over(finding, here)
        tell(waits or finding, here, url or run.url)
        if waits:  # the description holds words of the pull request: it goes on as data, on one line
            put(push=True, commit=finding.commit, run=str(run.number), description=short(finding.description, 140))
    put(comment=(FOLDER / "target.json").is_file())
