"""The rules of the default branch and of branch ``deploy``, as they fit the people who work on the repository."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

from mainline.console import say, warn
from mainline.errors import UserError
from mainline.files import read_json
from mainline.github import GitHub

MAIN, DEPLOY = "ruleset.json", "ruleset-deploy.json"


def apply(server: GitHub, folder: Path, reviews: int | None = None) -> list[str]:
    """Put both rulesets of ``folder`` in force; return their names.

    Args:
        server: the repository.
        folder: where the rules are, as GitHub's JSON.
        reviews: how many approvals a merge takes; None: one, or none where a single person may write, who could not
            approve their own pull requests.

    Raises:
        UserError: a file cannot be read, the number of people is not known, or GitHub refuses.
    """
    files = [folder / name for name in (MAIN, DEPLOY)]
    for file in files:
        if not file.is_file():
            raise UserError(f"{file}: not there", "run it at the top of the repository")
    main, deploy = (dict(read_json(file)) for file in files)
    if reviews is None:
        reviews = _wanted(server)
    main = fitted(main, reviews)
    for rules in (main, deploy):
        say(f"ruleset {rules['name']!r} {server.apply_ruleset(rules)}", "pass")
    _explain(main, reviews)
    return [str(main["name"]), str(deploy["name"])]


def fitted(rules: dict[str, Any], reviews: int) -> dict[str, Any]:
    """Return the rules with so many approvals; without any, no code owner's either."""
    made = copy.deepcopy(rules)
    for rule in made["rules"]:
        if rule["type"] == "pull_request":
            rule["parameters"]["required_approving_review_count"] = reviews
            if not reviews:
                rule["parameters"]["require_code_owner_review"] = False
    return made


def _wanted(server: GitHub) -> int:
    try:
        people = server.writers()
    except UserError as error:
        raise UserError(
            f"how many people may write here is not known: {error.problem}",
            "give --reviews 1; or --reviews 0 where you are the only one, who cannot approve your own pull requests",
        ) from error
    say(f"{people} {'person' if people == 1 else 'people'} may write here")
    return 1 if people > 1 else 0


def _explain(rules: dict[str, Any], reviews: int) -> None:
    if reviews:
        say("approve after the verdict: a new commit drops an approval, also the one in which the run commits dvc.lock")
    else:
        warn(
            "no review is asked for, nor a code owner's: as soon as a second person may write, run it with --reviews 1"
        )
    if not rules.get("bypass_actors"):
        say("no person may bypass the rules; an administrator can change them: Settings, Rules, Rulesets")
    say("branch deploy cannot be deleted or rewritten; the workflows only add commits to it")
