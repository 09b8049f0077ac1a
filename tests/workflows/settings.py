"""What GitHub says of a repository's settings, and what it refuses for them: plans, rules, merges, allowed actions."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ACTIONS = 15368  # the app in whose name a workflow's token sets statuses
# What GitHub refuses beside the permissions of tokens (those are in api.py), and in which words.
REFUSALS = {
    "no rules in this plan": (403, "Upgrade to GitHub Pro or make this repository public to enable this feature."),
    "no verdict": (405, 'Required status check "mainline/verdict" is expected.'),
    "verdict not green": (405, 'Required status check "mainline/verdict" is {state}.'),
    "no review": (405, "At least 1 approving review is required by reviewers with write access."),
    "not up to date": (405, "Head branch is out of date. Review and try the merge again."),
    "action not allowed": (0, "startup_failure: {action} is not allowed to be used in {repository}"),
    "own approval": (422, "Can not approve your own pull request"),
}


@dataclass
class Refusal(Exception):
    """GitHub has refused what a person or a program asked for."""

    name: str
    message: str


def refuse(name: str, **words: str) -> Refusal:
    """Return the refusal of that name."""
    return Refusal(name, REFUSALS[name][1].format(**words))


@dataclass
class Settings:
    """The settings of the hosted repository; :meth:`install` lets the stand-in answer for them.

    Attributes:
        people: who may write; the first one is who looks.
        allowed: patterns of the actions that may run; None: all may.
    """

    hub: Any
    origin: Path
    visibility: str = "public"
    paid: bool = False
    fork: bool = False
    people: list[str] = field(default_factory=lambda: ["ada"])
    allowed: list[str] | None = None
    environments: list[dict[str, Any]] = field(default_factory=list)
    labels: list[str] = field(default_factory=lambda: ["bug"])
    variables: dict[str, str] = field(default_factory=dict)
    merged: dict[str, dict[str, Any]] = field(default_factory=dict)
    approved: dict[int, set[str]] = field(default_factory=dict)

    @property
    def ruled(self) -> bool:
        """Whether the plan has rulesets for this repository."""
        return self.visibility == "public" or self.paid

    def install(self) -> Settings:
        """Answer for the settings from now on."""
        plain = self.hub.answer

        def answer(method: str, path: str, body: dict[str, Any], query: dict[str, str]) -> tuple[int, Any]:
            found = self.answer(method, path, body, query)
            return plain(method, path, body, query) if found is None else found

        self.hub.answer = answer
        return self

    def answer(self, method: str, path: str, body: dict[str, Any], query: dict[str, str]) -> tuple[int, Any] | None:
        """Return code and answer of a call about settings, None for any other."""
        if path.startswith(("/rulesets", "/rules/")) and not self.ruled:
            code, message = REFUSALS["no rules in this plan"]
            return code, {"message": message}
        if found := re.fullmatch(r"/rules/branches/(.+)", path):
            return 200, self.rules(found[1]) if query.get("page", "1") == "1" else []
        if method == "POST" and path == "/labels":
            self.labels.append(body["name"])
            return 201, body
        if found := re.fullmatch(r"/actions/variables/(\w+)", path):
            value = self.variables.get(found[1])
            return (404, {"message": "Not Found"}) if value is None else (200, {"name": found[1], "value": value})
        if found := re.fullmatch(r"/commits/(\w+)/pulls", path):
            return 200, [self.merged[found[1]]] if found[1] in self.merged else []
        return (200, answers[path]) if path in (answers := self._answers()) else None

    def _answers(self) -> dict[str, Any]:
        """Return what needs no look at what is asked for."""
        selected = self.allowed is not None
        names = self.git("ls-tree", "--name-only", "main", ".github/workflows/").splitlines()
        patterns = [item for item in self.allowed or () if item != "actions/*"]
        return {
            "": {"visibility": self.visibility, "private": self.visibility != "public", "fork": self.fork,
                 "default_branch": "main", "has_issues": True, "archived": False},
            "/actions/workflows": {"workflows": [{"path": name, "state": "active"} for name in names]},
            "/actions/permissions": {"enabled": True, "allowed_actions": "selected" if selected else "all"},
            "/actions/permissions/selected-actions": {
                "github_owned_allowed": "actions/*" in (self.allowed or ()), "verified_allowed": False,
                "patterns_allowed": patterns},
            "/actions/permissions/workflow": {"can_approve_pull_request_reviews": False},
            "/codeowners/errors": {"errors": self.owner_errors()},
            "/collaborators": [{"login": name, "type": "User", "permissions": {"push": True}} for name in self.people],
            "/environments": {"environments": self.environments},
            "/labels": [{"name": name} for name in self.labels],
            "/actions/secrets": {"secrets": []},
            "/dependabot/secrets": {"secrets": []},
            "/actions/organization-secrets": {"secrets": []},
        }  # fmt: skip

    def git(self, *arguments: str) -> str:
        """Run git in the hosted repository; return what it printed."""
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
        return subprocess.run(command, cwd=self.origin, check=True, capture_output=True, text=True).stdout.strip()

    def rules(self, branch: str) -> list[dict[str, Any]]:
        """Return the rules that are in force for a branch."""
        found = []
        for ruleset in self.hub.rulesets:
            named = ruleset["conditions"]["ref_name"]["include"]
            if f"refs/heads/{branch}" in named or (branch == "main" and "~DEFAULT_BRANCH" in named):
                found += [rule | {"ruleset_id": ruleset["id"]} for rule in ruleset["rules"]]
        return found

    def owner_errors(self) -> list[dict[str, Any]]:
        """Return the errors of CODEOWNERS on the default branch: owners who do not exist."""
        lines = self.git("show", "main:.github/CODEOWNERS").splitlines()
        known = {f"@{name}" for name in self.people}
        return [
            {"line": number, "kind": "Unknown owner", "path": ".github/CODEOWNERS", "suggestion": f"make sure {owner}"}
            for number, line in enumerate(lines, 1)
            for owner in line.split()[1:]
            if not line.startswith("#") and owner not in known
        ]

    def approve(self, number: int, by: str, author: str = "ada") -> None:
        """Approve a pull request.

        Raises:
            Refusal: it is one's own.
        """
        if by == author:
            raise refuse("own approval")
        self.approved.setdefault(number, set()).add(by)

    def merge(self, number: int, branch: str = "topic") -> str:
        """Squash a pull request into main, as its button does; return the new commit.

        Raises:
            Refusal: a rule of main forbids it.
        """
        head, base = self.git("rev-parse", branch), self.git("rev-parse", "main")
        for rule in self.rules("main") if self.ruled else ():
            asked = rule.get("parameters") or {}
            if rule["type"] == "required_status_checks":
                self._checked(head, asked, behind=self.git("merge-base", head, base) != base)
            reviews = int(asked.get("required_approving_review_count") or 0) or bool(
                asked.get("require_code_owner_review")
            )
            if rule["type"] == "pull_request" and len(self.approved.get(number, ())) < reviews:
                raise refuse("no review")
        tree = self.git("merge-tree", "--write-tree", base, head).splitlines()[0]
        made = self.git("commit-tree", tree, "-p", base, "-m", f"Change (#{number})")
        self.git("update-ref", "refs/heads/main", made, base)
        pull = self.hub.pulls[number]
        pull["head"]["sha"] = head
        pull.update(state="closed", merged=True, commits=1, merged_at="2026-11-30T00:10:00Z", merge_commit_sha=made)
        self.merged[made] = pull
        return made

    def _checked(self, head: str, asked: dict[str, Any], *, behind: bool) -> None:
        for check in asked["required_status_checks"]:
            ours = [item for item in self.hub.statuses if (item["sha"], item["context"]) == (head, check["context"])]
            if not ours:
                raise refuse("no verdict")
            if check.get("integration_id") not in (None, ACTIONS) or ours[-1]["state"] != "success":
                raise refuse("verdict not green", state=ours[-1]["state"])
        if behind and asked.get("strict_required_status_checks_policy"):
            raise refuse("not up to date")

    def start(self, workflow: Path) -> None:
        """Begin a run, as GitHub does before it makes any job.

        Raises:
            Refusal: the workflow uses an action that is not allowed.
        """
        texts = [workflow.read_text(encoding="utf-8")]
        texts += [file.read_text(encoding="utf-8") for file in workflow.parents[1].glob("actions/*/action.yml")]
        for name in (name for text in texts for name in re.findall(r"uses: ([\w-]+/\S+)", text)):
            if self.allowed is not None and not any(fnmatch.fnmatchcase(name, item) for item in self.allowed):
                raise refuse("action not allowed", action=name, repository="ada/loans")
