"""A small stand-in for GitHub's API on loopback: it keeps what it is told, and refuses what it is told to refuse."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import subprocess
import tempfile
import threading
import urllib.parse
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "stand-in-token-of-some-length"
REPOSITORY = "ada/loans"
BOT = {"login": "github-actions[bot]", "type": "Bot"}
NOW = "2026-11-30T00:00:00Z"
LEVELS = ("none", "read", "write")

# What GitHub refuses, and how. A job's token may do what the job's `permissions:` give, and nothing else.
REFUSALS = {
    "no permission": (403, "Resource not accessible by integration"),
    "no such thing": (404, "Not Found"),
    "bad token": (401, "Bad credentials"),
    "long description": (422, "Validation Failed: description is too long (maximum is 140 characters)"),
    "long summary": (422, "Invalid request. Only 65535 characters are allowed for property 'summary'"),
    "long comment": (422, "Validation Failed: body is too long (maximum is 65536 characters)"),
    "another head": (200, 'Expected branch to point to "{expected}" but it did not.  Pull and try again.'),
    "no such branch": (200, "Could not resolve to a Ref with the name '{branch}'."),
    "another repository": (200, "Could not resolve to a Repository with the name '{name}'."),
}
# The permission, or one of several, that a call needs. A private repository: nothing is readable without.
NEEDS = [
    (r"POST /statuses/", ["statuses: write"]),
    (r"GET /commits/\w+/statuses", ["statuses: read"]),
    (r"GET /commits/\w+/pulls", ["pull-requests: read"]),
    (r"GET /commits/", ["contents: read"]),
    (r"POST /graphql", ["contents: write"]),
    (r"POST /check-runs", ["checks: write"]),
    (r"GET /pulls", ["pull-requests: read"]),
    (r"(POST|PATCH) /pulls", ["pull-requests: write"]),
    (r"GET /issues", ["issues: read", "pull-requests: read"]),
    (r"(POST|PATCH|DELETE) /issues", ["issues: write", "pull-requests: write"]),
    (r"GET /actions/", ["actions: read"]),
    (r"(POST|PUT) /actions/", ["actions: write"]),
    (r"\w+ /rulesets", ["administration: write"]),
]


def refusal(name: str, **words: str) -> tuple[int, dict[str, str]]:
    """Return code and body of a refusal."""
    code, message = REFUSALS[name]
    return code, {"message": message.format(**words), "documentation_url": "https://docs.github.com/rest"}


# The run that uploads every artifact unless ``Hub.uploaded`` says otherwise: the workflow `release` on main.
OWN = {"id": 1, "repository_id": 7, "head_repository_id": 7, "head_branch": "main"}
RELEASE_RUN = {
    "id": 1,
    "event": "push",
    "head_branch": "main",
    "path": ".github/workflows/release.yml",
    "status": "completed",
}


@dataclass
class Hub:
    """What the stand-in holds. ``refuse`` maps a part of a path to the answer code it gets."""

    statuses: list[dict[str, Any]] = field(default_factory=list)
    checks: list[dict[str, Any]] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    pulls: dict[int, dict[str, Any]] = field(default_factory=dict)
    rulesets: list[dict[str, Any]] = field(default_factory=list)
    commits: dict[str, str] = field(default_factory=dict)
    refuse: dict[str, int] = field(default_factory=dict)
    # Codes (0: the connection is dropped) for the next calls whose "METHOD path" holds the text, with headers; with
    # ``lost`` the call is carried out before its answer gets lost.
    once: list[tuple[str, int, dict[str, str]]] = field(default_factory=list)
    lost: bool = False
    events: list[dict[str, Any]] = field(default_factory=list)
    permissions: dict[str, str] = field(default_factory=dict)
    issues: list[dict[str, Any]] = field(default_factory=list)
    approvals: list[dict[str, Any]] = field(default_factory=list)
    workflows: dict[str, str] = field(default_factory=dict)
    artifacts: Path | None = None
    uploaded: dict[int, dict[str, Any]] = field(default_factory=dict)
    runs: dict[int, dict[str, Any]] = field(default_factory=lambda: {1: dict(RELEASE_RUN)})
    message: str = REFUSALS["no permission"][1]  # what a call in ``refuse`` is answered with
    people: list[str] = field(default_factory=lambda: ["ada", "grace"])
    default_branch: str = "main"
    calls: list[str] = field(default_factory=list)
    raw: bytes | None = None
    url: str = ""
    # The hosted repository: pull requests and dispatches are about what its branches point at.
    origin: Path | None = None
    dispatches: list[dict[str, Any]] = field(default_factory=list)
    # What the tokens of jobs may do, by token; runs that wait for approval, since a workflow has pushed.
    grants: dict[str, dict[str, str]] = field(default_factory=dict)
    parked: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def may(self, token: str, method: str, path: str) -> bool:
        """Return whether a token may make a call; ``TOKEN`` is a person's and may make all of them."""
        if token == TOKEN:
            return True
        for pattern, needs in NEEDS:
            if re.match(pattern, f"{method} {path}"):
                pairs = [need.split(": ") for need in needs]
                return any(LEVELS.index(self.grants[token].get(key, "none")) >= LEVELS.index(level)
                           for key, level in pairs)  # fmt: skip
        return True

    def park(self, branch: str, sha: str) -> None:
        """Make the run that waits for approval: a workflow's token has pushed to a branch with a pull request."""
        if any(item["head"].get("ref") == branch and item.get("state") == "open" for item in self.pulls.values()):
            run = {"event": "pull_request", "head_sha": sha, "status": "completed", "conclusion": "action_required"}
            self.parked.append(run)

    def graphql(self, asked: dict[str, Any]) -> tuple[int, Any]:
        """Return the answer to createCommitOnBranch, which commits to the hosted repository."""
        branch, expected = asked["branch"]["branchName"], asked["expectedHeadOid"]

        def error(kind: str, name: str, **words: str) -> tuple[int, Any]:
            said = {"type": kind, "path": ["createCommitOnBranch"], "message": refusal(name, **words)[1]["message"]}
            return 200, {"data": {"createCommitOnBranch": None}, "errors": [said]}

        if asked["branch"]["repositoryNameWithOwner"] != REPOSITORY:
            return error("NOT_FOUND", "another repository", name=asked["branch"]["repositoryNameWithOwner"])
        if not self.git("for-each-ref", f"refs/heads/{branch}"):
            return error("NOT_FOUND", "no such branch", branch=branch)
        if self.git("rev-parse", f"refs/heads/{branch}") != expected:
            return error("STALE_DATA", "another head", expected=expected)
        oid, tree = self.commit_files(expected, asked["message"]["headline"], asked["fileChanges"])
        self.git("update-ref", f"refs/heads/{branch}", oid, expected)
        self.park(branch, oid)
        return 200, {"data": {"createCommitOnBranch": {"commit": {"oid": oid, "tree": {"oid": tree}}}}}

    def commit_files(self, parent: str, message: str, changes: dict[str, Any]) -> tuple[str, str]:
        """Make a commit of the bot's in the hosted repository; return it and its tree."""
        with tempfile.TemporaryDirectory() as folder:
            index = {"GIT_INDEX_FILE": f"{folder}/index", "GIT_WORK_TREE": folder, "GIT_DIR": str(self.origin)}
            self.git("read-tree", parent, extra=index)
            for item in changes.get("additions", ()):
                file = Path(folder, "file")
                file.write_bytes(base64.b64decode(item["contents"], validate=True))
                blob = self.git("hash-object", "-w", str(file))
                self.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{item['path']}", extra=index)
            for item in changes.get("deletions", ()):
                self.git("update-index", "--force-remove", item["path"], extra=index)
            tree = self.git("write-tree", extra=index)
        who = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER")
               for key, value in (("NAME", BOT["login"]), ("EMAIL", "bot@users.noreply.github.com"))}  # fmt: skip
        return self.git("commit-tree", tree, "-p", parent, "-m", message, extra=who), tree

    def git(self, *arguments: str, extra: dict[str, str] | None = None) -> str:
        """Run git in the hosted repository; return what it printed."""
        command, environment = ["git", *arguments], {**os.environ, **(extra or {})}
        done = subprocess.run(command, cwd=self.origin, env=environment, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def side(self, branch: str) -> dict[str, Any]:
        """Return what GitHub says of a branch of the hosted repository."""
        command = ["git", "rev-parse", f"refs/heads/{branch}"]
        done = subprocess.run(command, cwd=self.origin, capture_output=True, text=True, check=True)
        return {"ref": branch, "sha": done.stdout.strip(), "repo": {"full_name": REPOSITORY}}

    def held(self) -> list[str]:
        """Return the names of the artifacts, sorted."""
        return (
            sorted(path.name for path in self.artifacts.iterdir()) if self.artifacts and self.artifacts.is_dir() else []
        )

    def blob(self, number: int) -> bytes:
        """Return an artifact as the ZIP archive that the store behind GitHub's API gives."""
        content, folder = io.BytesIO(), (self.artifacts or Path()) / self.held()[number - 1]
        with zipfile.ZipFile(content, "w") as archive:
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                archive.write(file, file.relative_to(folder))
        return content.getvalue()

    def answer(self, method: str, path: str, body: dict[str, Any], query: dict[str, str]) -> tuple[int, Any]:
        """Return the code and the answer of one call below ``/repos/owner/name``."""
        for part, code in self.refuse.items():
            if part in path:
                return code, {"message": self.message}
        if path == "/graphql":
            return self.graphql(body["variables"]["input"])
        if found := re.fullmatch(r"/statuses/(\w+)", path):
            if len(body.get("description", "")) > 140:
                return refusal("long description")
            self.statuses.append({"sha": found[1], "creator": BOT, **body})
        elif found := re.fullmatch(r"/commits/(\w+)/statuses", path):
            return 200, page([item for item in reversed(self.statuses) if item["sha"] == found[1]], query)
        elif path == "/check-runs" and len(body["output"]["summary"]) > 65_535:
            return refusal("long summary")
        elif path == "/check-runs":
            self.checks.append(body)
        elif path == "/pulls":
            if method == "GET":
                self.refresh()
                owner, _, head = query.get("head", "").partition(":")
                state = query.get("state", "open")
                here = [item for item in self.pulls.values()
                        if item["head"].get("ref") == head and state in ("all", item.get("state", "open"))
                        and str((item["head"].get("repo") or {}).get("full_name")).startswith(f"{owner}/")]  # fmt: skip
                return 200, page(here, query)
            number = max(self.pulls, default=6) + 1
            sides = {side: self.side(body[side]) for side in ("head", "base")}
            self.pulls[number] = {"number": number, "state": "open", "html_url": f"#{number}", **body, **sides}
            self.park(body["head"], sides["head"]["sha"])
            return 201, self.pulls[number]
        elif found := re.fullmatch(r"/actions/workflows/([\w.-]+)/(dispatches|runs)", path):
            if found[2] == "runs":
                begun = [{"head_sha": item["sha"], "event": "workflow_dispatch", **item} for item in self.dispatches]
                asked = [item for item in begun + self.parked if item["head_sha"] == query.get("head_sha")
                         and query.get("event", item["event"]) == item["event"]]  # fmt: skip
                return 200, {"total_count": len(asked), "workflow_runs": asked}
            self.dispatches.append({"workflow": found[1], "sha": self.side(body["ref"])["sha"], **body})
            return 204, None
        elif found := re.fullmatch(r"/pulls/(\d+)", path):
            pull = self.pulls.get(int(found[1]))
            if pull and method == "PATCH":
                pull.update(body)
            self.refresh()
            return (200, pull) if pull else (404, {"message": "Not Found"})
        elif found := re.fullmatch(r"/issues/(\d+)/comments", path):
            if method == "GET":
                return 200, page([item for item in self.comments if item["issue"] == int(found[1])], query)
            if len(body["body"]) > 65_536:
                return refusal("long comment")
            number = max((item["id"] for item in self.comments), default=0) + 1
            self.comments.append({"id": number, "issue": int(found[1]), "user": {"type": "Bot"}, **body})
        elif found := re.fullmatch(r"/issues/comments/(\d+)", path):
            there = next((item for item in self.comments if item["id"] == int(found[1])), None)
            if there is None:
                return refusal("no such thing")
            if method == "DELETE":
                self.comments.remove(there)
                return 204, None
            there.update(body)
        elif (found := re.fullmatch(r"/commits/(.+)", path)) and not path.endswith("/pulls"):
            known = self.commits.get(found[1])
            return (200, {"sha": known}) if known else (404, {"message": "Not Found"})
        elif path == "/issues":
            if method == "GET":
                state, label = query.get("state", "open"), query.get("labels")
                chosen = [item for item in self.issues if state in ("all", item["state"])]
                return 200, page([item for item in chosen if not label or label in names_of(item)], query)
            made = {"number": len(self.issues) + 1, "state": "open", "user": {"type": "Bot"}, **body}
            self.issues.append(made)
            return 201, made
        elif found := re.fullmatch(r"/issues/(\d+)", path):
            self.issues[int(found[1]) - 1].update(body)
            return 200, self.issues[int(found[1]) - 1]
        elif found := re.fullmatch(r"/issues/(\d+)/events", path):
            return 200, page([item for item in self.events if item["issue"] == int(found[1])], query)
        elif found := re.fullmatch(r"/collaborators/([^/]+)/permission", path):
            known = self.permissions.get(urllib.parse.unquote(found[1]))
            return (200, {"permission": known}) if known else (404, {"message": "Not Found"})
        elif re.fullmatch(r"/actions/runs/\d+/approvals", path):
            return 200, self.approvals
        elif found := re.fullmatch(r"/actions/workflows/([\w.-]+)", path):
            return 200, {"state": self.workflows.get(found[1], "active")}
        elif found := re.fullmatch(r"/actions/workflows/([\w.-]+)/enable", path):
            self.workflows[found[1]] = "active"
        elif re.fullmatch(r"/actions/runs/\d+/artifacts", path):
            named = [(number, name) for number, name in enumerate(self.held(), 1) if name == query.get("name")]
            listed = [{"id": number, "name": name, "expired": False, "created_at": NOW} for number, name in named]
            return 200, {"artifacts": listed}
        elif (known := self.release_routes(method, path, query)) is not None:
            return known
        elif found := re.fullmatch(r"/actions/artifacts/(\d+)/zip", path):
            return 302, f"{self.url}/blob/{found[1]}"
        elif path == "/rulesets":
            if method == "GET":
                return 200, self.rulesets
            self.rulesets.append({"id": len(self.rulesets) + 1, **body})
        elif found := re.fullmatch(r"/rulesets/(\d+)", path):
            self.rulesets[int(found[1]) - 1].update(body)
        else:
            return 404, {"message": "Not Found"}
        return 201, {}

    def refresh(self) -> None:
        """Let the heads of the pull requests be what the branches of the hosted repository point at."""
        for pull in self.pulls.values() if self.origin else ():
            if there := self.git("for-each-ref", "--format=%(objectname)", f"refs/heads/{pull['head'].get('ref')}"):
                pull["head"]["sha"] = there

    def release_routes(self, method: str, path: str, query: dict[str, str]) -> tuple[int, Any] | None:
        """Return what is asked for a release, a ruleset or an issue that is switched off; None: another route."""
        if path == "":
            return 200, {"default_branch": self.default_branch, "private": False}
        if path == "/collaborators":
            return 200, page([{"login": name, "type": "User"} for name in self.people], query)
        if found := re.fullmatch(r"/commits/(\w+)/pulls", path):
            return 200, [item for item in self.pulls.values() if found[1] in item.get("brought", ())]
        if found := re.fullmatch(r"/actions/runs/(\d+)", path):
            known = self.runs.get(int(found[1]))
            return (200, known) if known else (404, {"message": "Not Found"})
        if path == "/actions/artifacts":
            named = [(number, name) for number, name in enumerate(self.held(), 1) if name == query.get("name")]
            made = {number: OWN | self.uploaded.get(number, {}) for number, _ in named}
            listed = [
                {"id": number, "name": name, "expired": False, "workflow_run": made[number]} for number, name in named
            ]
            return 200, {"artifacts": page(listed, query)}
        return None

    def label(self, number: int, name: str, by: str, at: str) -> None:
        """Put a label on an issue, as a person does."""
        issue = self.issues[number - 1]
        issue["labels"] = [*issue.get("labels", []), name]
        who = {"event": "labeled", "label": {"name": name}, "actor": {"login": by}, "created_at": at}
        self.events.append({"issue": number, **who})


def page(entries: list[dict[str, Any]], query: dict[str, str]) -> list[dict[str, Any]]:
    """Return the page that is asked for."""
    size, number = int(query.get("per_page", 30)), int(query.get("page", 1))
    return entries[(number - 1) * size : number * size]


def names_of(issue: dict[str, Any]) -> list[str]:
    """Return the names of an issue's labels."""
    return [label if isinstance(label, str) else label["name"] for label in issue.get("labels", [])]


@contextmanager
def hub() -> Iterator[Hub]:
    """Yield a stand-in that listens on a port of its own."""
    held = Hub()

    class Handler(BaseHTTPRequestHandler):
        """One call."""

        def _serve(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length) or b"{}")
            path = re.sub(r"^/repos/[^/]+/[^/]+", "", self.path.split("?")[0])
            token = self.headers.get("Authorization", "").removeprefix("Bearer ")
            query = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(self.path).query))
            held.calls.append(f"{self.command} {path}")
            planted = next((item for item in held.once if item[0] in f"{self.command} {path}"), None)
            if planted:
                held.once.remove(planted)
                if held.lost:
                    held.answer(self.command, path, body, query)
                self._fail(planted[1], planted[2])
                return
            if path.startswith("/blob/"):
                # Another host: whoever brings the token here has given it away.
                code, answer = (400, {}) if "Authorization" in self.headers else (200, {})
            elif token != TOKEN and token not in held.grants:
                code, answer = refusal("bad token")
            elif not held.may(token, self.command, path):
                code, answer = refusal("no permission")
                held.refused.append(f"{token}: {self.command} {path}")
            else:
                code, answer = held.answer(self.command, path, body, query)
            data = held.raw if held.raw is not None else b"" if code == 204 else json.dumps(answer).encode()
            if path.startswith("/blob/") and code == 200:
                data = held.blob(int(path.split("/")[2]))
            self.send_response(code)
            self.send_header("Content-Length", str(len(data)))
            if 300 <= code < 400:
                trap = f"{held.url}/repos/eve/trap/commits/main"
                self.send_header("Location", answer if isinstance(answer, str) else trap)
            self.end_headers()
            self.wfile.write(data)

        def _fail(self, code: int, headers: dict[str, str]) -> None:
            if not code:
                self.close_connection = True
                return
            self.send_response(code)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        do_GET = do_POST = do_PATCH = do_PUT = do_DELETE = _serve  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        server.server_close()
