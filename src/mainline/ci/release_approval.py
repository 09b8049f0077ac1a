"""Who let a release into the environment ``production``, who refused it, and whether it may still go there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mainline.ci.ledger import by, run_number
from mainline.ci.release_plan import WAITS
from mainline.compare.git import git
from mainline.config import load_settings
from mainline.console import annotate, say, warn
from mainline.errors import UserError
from mainline.github import GitHub
from mainline.release.ledger import Deploy, Transition
from mainline.release.state import Environment

NOBODY = "nobody"  # the approver in the ledger when the environment asks none
ENVIRONMENT: Environment = "production"


def approve(
    release: str,
    deploy: Deploy,
    server: GitHub,
    environment: Mapping[str, str] = os.environ,
    *,
    asked: str = "",
    root: Path = Path(),
) -> str:
    """Write into the ledger who let this run into the environment ``production``; return the name.

    GitHub starts the job only after its reviewers agreed. Without reviewers every run may pass: with
    ``rollout.approval: required`` only one that a person has started with the id of this very release (``asked``) goes
    on, any other ends here, and an empty text is returned.

    Raises:
        UserError: GitHub does not tell, or a newer release serves already, and the way back was not asked for.
    """
    run, attempt = run_number(dict(environment)), environment.get("GITHUB_RUN_ATTEMPT") or "1"
    by_id = environment.get("GITHUB_EVENT_NAME") == "workflow_dispatch" and asked == release
    _not_back(release, deploy, root, meant=by_id and attempt == "1")
    reviews = server.approvals(run, ENVIRONMENT)
    names = sorted({item["user"] for item in reviews if item["state"] == "approved" and item["user"]})
    why = f"approved by {', '.join(names)}"
    if not names and load_settings(root / "params.yaml").rollout.approval == "required":
        if not by_id:
            _wait(release, deploy, environment)
            return ""
        names = [environment.get("GITHUB_TRIGGERING_ACTOR") or environment.get("GITHUB_ACTOR") or "somebody"]
        why = f"approved by {names[0]}, who started the workflow with this id"
    elif not names:
        why = "the environment production has no reviewers"
        warn(f"{why}; Settings, Environments, production, Required reviewers")
    name = ", ".join(names) or NOBODY
    event = Transition(release, ENVIRONMENT, "approved", by(dict(environment)), why,
                       evidence={"run": run, "attempt": attempt, "reviews": reviews})  # fmt: skip
    entry = replace(deploy.entry(release), approver=name)
    deploy.commit(f"production: {release} may be tried\n\n{why}", expect=deploy.head(), entries=[entry],
                  transitions=[event])  # fmt: skip
    return name


def refused(release: str, deploy: Deploy, server: GitHub, environment: Mapping[str, str] = os.environ) -> str:
    """Write a reviewer's refusal into the ledger, as the end of this try; return who refused, empty if none did.

    GitHub does not start a job that was refused, so another job asks. A review of an earlier attempt says nothing of
    this one when the rollout was let in.

    Raises:
        UserError: GitHub does not tell, or the ledger cannot be changed.
    """
    run, attempt = run_number(dict(environment)), environment.get("GITHUB_RUN_ATTEMPT") or "1"
    entry = deploy.entry(release)
    begun = {"run": run, "attempt": attempt}
    if any(item.event in ("approved", "abort") and begun.items() <= (deploy.evidence(item) or {}).items()
           for item in entry.transitions):  # fmt: skip
        return ""
    reviews = [item for item in server.approvals(run, ENVIRONMENT) if item["state"] == "rejected"]
    if not reviews:
        return ""
    names = ", ".join(sorted({item["user"] or "somebody" for item in reviews}))
    words = "; ".join(item["comment"] for item in reviews if item["comment"])
    why = f"refused by {names}" + (f": {words}" if words else "")
    event = Transition(release, ENVIRONMENT, "abort", by(dict(environment)), why, 0,
                       evidence=begun | {"reviews": reviews})  # fmt: skip
    state = deploy.state(ENVIRONMENT)
    dropped = replace(state, candidate=None, phase=None, weight=0, step=0, plan=None, started=None)
    deploy.commit(f"production: abort {release}\n\n{why}", expect=deploy.head(), transitions=[event],
                  states=[dropped] if state.candidate == release else [])  # fmt: skip
    say(f"{release}: {why}; the next merge does not ask again", "warn")
    return names


def _not_back(release: str, deploy: Deploy, root: Path, *, meant: bool) -> None:
    """Stop a run that would put an older release in the place of a newer one, unless a person asked for just that.

    Raises:
        UserError: the stable release is of a later commit.
    """
    stable = deploy.state(ENVIRONMENT).stable
    if meant or not stable or stable == release:
        return
    mine, theirs = deploy.entry(release).commit, deploy.entry(stable).commit
    newer = git("rev-list", "--max-count=1", "--ignore-missing", f"{mine}..{theirs}", root=root, check=False)
    older = git("rev-list", "--max-count=1", "--ignore-missing", f"{theirs}..{mine}", root=root, check=False)
    if newer and not older:
        raise UserError(
            f"{release} is of commit {mine[:12]}, and {stable}, which is stable, of the later {theirs[:12]}",
            f"to go back on purpose, start the workflow `release` with the id {release}",
        )


def _wait(release: str, deploy: Deploy, environment: Mapping[str, str]) -> None:
    why = f"waits for approval: a person starts the workflow `release` with the id {release}"
    event = Transition(release, ENVIRONMENT, "hold", by(dict(environment)), why, 0, evidence=dict(WAITS))
    deploy.commit(f"production: {release} waits\n\n{why}", expect=deploy.head(), transitions=[event])
    say(f"{release} is built and checked; it {why} (rollout.approval: required)", "warn")
    annotate("notice", f"{release} {why}")
