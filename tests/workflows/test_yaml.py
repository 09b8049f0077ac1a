"""What no workflow may do, held against the files as they are, and against faults planted in them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from mainline import keys

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob(".github/workflows/*.yml")) + sorted(ROOT.glob(".github/actions/*/action.yml"))
# What may fail without a word: CML's action.
MAY_FAIL = {("comment.yml", "comment", "iterative/setup-cml")}
SWALLOWED = re.compile(r"\|\|\s*(true|:|exit 0|echo)|set \+e|;\s*(true|exit 0)\s*$|(?<!\|)\|(?!\|)|&\s*$", re.MULTILINE)
WRITES = {
    ("report.yml", "begin"): {"statuses"},
    ("report.yml", "report"): {"checks", "contents", "pull-requests", "statuses"},
    ("report.yml", "push"): {"checks", "statuses"},
    ("comment.yml", "comment"): {"pull-requests"},
    ("release.yml", "build"): {"contents"},
    ("release.yml", "attest"): {"attestations", "id-token"},
    ("release.yml", "staging"): {"contents"},
    ("release.yml", "rollout"): {"contents"},
    ("release.yml", "issue"): {"contents", "issues"},
    ("rollback.yml", "rollback"): {"contents"},
    ("rollback.yml", "issue"): {"issues"},
    ("monitor.yml", "watch"): {"contents", "issues"},
    ("heartbeat.yml", "alive"): {"actions", "issues"},
    ("retrain.yml", "retrain"): {"actions", "contents", "issues", "pull-requests"},
}
# What changes production or what is known of it is never cut off; of everything else only the newest run counts.
WHOLE = {"release.yml", "rollback.yml", "monitor.yml"}
# Of a release each job that changes something has its own group: a question to reviewers holds nothing else back.
ALONE = {"release.yml": ("build", "staging", "rollout")}
# Nor is a retraining, but those for two issues need not wait for each other; its group is the job's.
# What tells of a run is told whole: it commits, and then sets a status.
UNCUT = WHOLE | {"retrain.yml", "report.yml", "comment.yml"}
READ = {"contents": "read"}
READING = {name for names in keys.SECRETS.values() for name in names}
TOKEN_STEPS = {
    "pull-request.yml": set(),
    "retrain.yml": {"mainline ci retrain"},
    "report.yml": {"mainline ci begin", "mainline ci report", "mainline ci push"},
    "comment.yml": {"mainline ci comment"},
    "release.yml": {
        f"mainline ci release {word}"
        for word in ("plan", "build", "image", "unpack", "staged", "approve", "rollout", "refused", "issue")
    },
    "rollback.yml": {"mainline ci rollback", "mainline ci release issue"},
    "monitor.yml": {
        *(f"mainline ci monitor {word}" for word in ("begin", "save", "beat")),
        *(f"mainline monitor {word}" for word in ("issues", "blind")),
    },
    "heartbeat.yml": {"mainline ci monitor heartbeat", "mainline ci monitor enable", "mainline monitor blind"},
}


def faults(name: str, text: str) -> list[str]:
    """Return what is wrong with a workflow or a composite action; empty when all is well."""
    content: dict[str, Any] = yaml.safe_load(text)
    jobs = content.get("jobs") or {"": {**content["runs"], "timeout-minutes": 1, "permissions": {}}}
    found = []
    triggers = content.get(True, {})  # YAML 1.1 reads the key `on` as true
    if {"pull_request_target", "workflow_run"} & set(triggers):
        found += _strangers(content)
    elif "pull_request" in triggers:
        found += _keys(text, jobs)
    if triggers and content.get("permissions") != {}:
        found.append("permissions are not empty at the top")
    own = ["retrain"] if name == "retrain.yml" else ALONE.get(name, ())
    groups = [jobs[job].get("concurrency") or {} for job in own] or [content.get("concurrency") or {}]
    for concurrency in groups if triggers else ():
        if concurrency.get("cancel-in-progress") is not (name not in UNCUT):
            found.append("a run is cut off" if name in UNCUT else "an older run is not cancelled")
        if name in WHOLE and "${{" in concurrency.get("group", "${{"):
            found.append("two of them could run at once")
    if name in ALONE and content.get("concurrency"):
        found.append("a question to reviewers holds back later merges")
    for job, body in jobs.items():
        if "timeout-minutes" not in body:
            found.append(f"{job}: no timeout")
        writes = {key for key, level in body.get("permissions", {"all": "write"}).items() if level == "write"}
        if not writes <= WRITES.get((name, job), set()):
            found.append(f"{job}: may write {sorted(writes)}")
        for step in [body, *body["steps"]]:
            found += [f"{job}: {fault}" for fault in _step_faults(name, job, step, is_job=step is body)]
    return found


def _strangers(content: dict[str, Any]) -> list[str]:
    """Return what would run a stranger's code in a workflow that has the default branch's rights."""
    found = []
    if "pull_request" in content[True]:
        found.append("a pull request's own workflow file would be run with a key")
    for job, body in content["jobs"].items():
        for step in body["steps"]:
            given = step.get("with") or {}
            branch = given.get("ref", "")
            if "actions/checkout" in step.get("uses", "") and branch != "${{ github.event.repository.default_branch }}":
                found.append(f"{job}: another's code is checked out")
            if "actions/cache" in step.get("uses", "") or given.get("light") == "false" or "dvc-cache" in given:
                found.append(f"{job}: a cache of the default branch could be filled")
            if "actions/download-artifact" in step.get("uses", ""):
                found.append(f"{job}: an artifact is unpacked without a bound")
    return found


def _keys(text: str, jobs: dict[str, Any]) -> list[str]:
    """Return the keys that a pull request's own code would see; those that read storage are for it."""
    given = set(re.findall(r"github\.token|secrets\.\w+", text)) - {f"secrets.{name}" for name in READING}
    found = ["a key for a pull request's code"] if given else []
    return found + [f"{job}: may more than read" for job, body in jobs.items() if body["permissions"] != READ]


def _step_faults(name: str, job: str, step: dict[str, Any], *, is_job: bool) -> list[str]:
    found = []
    uses, run, condition = step.get("uses", ""), step.get("run", ""), str(step.get("if", ""))
    if step.get("continue-on-error") and (name, job, "" if is_job else uses.partition("@")[0]) not in MAY_FAIL:
        found.append("continue-on-error")
    if "${{" in condition and not re.fullmatch(r"\$\{\{.*\}\}", condition.strip(), re.DOTALL):
        found.append("an if that is always true")
    if "${{" in run:
        found.append("an expression in a script")
    if SWALLOWED.search(run):
        found.append("an exit code is swallowed")
    if uses and not uses.startswith("./") and not re.search(r"@[0-9a-f]{40}$", uses):
        found.append("an action without a full hash")
    if run and len(run.strip().splitlines()) > 1:
        found.append("more than one command in a step")
    if "setup-cml" in uses and step["with"].get("vega") is not False:
        found.append("CML would install canvas")
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_workflows_are_sound(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults(path.name, text) == []
    for line in text.splitlines():
        assert not re.search(r"uses: .*@[0-9a-f]{40}", line) or re.search(r" # v\d+\.\d+\.\d+$", line), line


PLANTED = [
    ("run: mainline ci train", "run: mainline ci train || true", "an exit code is swallowed"),
    ("run: mainline ci train", "run: mainline ci train | tee log", "an exit code is swallowed"),
    ("run: mainline ci train", "run: set +e; mainline ci train", "an exit code is swallowed"),
    ("run: mainline ci train", "run: mainline ci train; exit 0", "an exit code is swallowed"),
    ("run: mainline ci train", "run: mainline ci train &", "an exit code is swallowed"),
    ("run: mainline ci train", "run: mainline ci train\n        continue-on-error: true", "continue-on-error"),
    ("run: make check", "run: make check\n        continue-on-error: true", "continue-on-error"),
    ("    timeout-minutes: 350", "    timeout-minutes: 350\n    continue-on-error: true", "continue-on-error"),
    ("    timeout-minutes: 350\n", "", "no timeout"),
    ("if: always()\n        run",
     "if: ${{ steps.train.outcome }} == 'success'\n        run", "an if that is always true"),
    ('"$BASE_COMMIT"', "${{ github.event.pull_request.base.ref }}", "an expression in a script"),
    ("  pull_request:\n", "  pull_request_target:\n", "another's code is checked out"),
    ("      contents: read\n", "      contents: write\n", "may write"),
    ("      contents: read\n", "      contents: read\n      statuses: read\n", "may more than read"),
    ("        run: mainline ci lock\n",
     "        run: mainline ci lock\n        env:\n          GITHUB_TOKEN: ${{ github.token }}\n",
     "a key for a pull request's code"),
    ("        run: mainline ci train\n",
     "        run: mainline ci train\n        env:\n          KEY: ${{ secrets.MAINLINE_WRITE_KEY }}\n",
     "a key for a pull request's code"),
    ("permissions: {}\n", "permissions: write-all\n", "permissions are not empty"),
    ("  cancel-in-progress: true", "  cancel-in-progress: false", "an older run is not cancelled"),
    ("@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1", "@v7", "an action without a full hash"),
]  # fmt: skip


@pytest.mark.parametrize(("sound", "planted", "words"), PLANTED, ids=[item[1].strip()[-40:] for item in PLANTED])
def test_a_planted_fault_is_found(sound: str, planted: str, words: str) -> None:
    text = (ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8")
    assert sound in text
    found = faults("pull-request.yml", text.replace(sound, planted, 1))
    assert any(words in fault for fault in found), found


TOLD = [
    ("report.yml", "          ref: ${{ github.event.repository.default_branch }}\n",
     "          ref: ${{ github.event.pull_request.head.sha }}\n", "another's code is checked out"),
    ("report.yml", "          ref: ${{ github.event.repository.default_branch }}\n", "",
     "another's code is checked out"),
    ("report.yml", "  pull_request_target:", "  pull_request: {}\n  pull_request_target:",
     "a pull request's own workflow file"),
    ("report.yml", '          light: "true"\n', '          light: "false"\n', "a cache of the default branch"),
    ("report.yml", '          light: "true"\n', '          light: "true"\n          dvc-cache: "true"\n',
     "a cache of the default branch"),
    ("report.yml", "      statuses: write # mainline/verdict: s", "      contents: write\n      statuses: write # s",
     "begin: may write"),
    ("report.yml", "  cancel-in-progress: false", "  cancel-in-progress: true", "a run is cut off"),
    ("report.yml", "run: mainline ci report\n", "run: mainline ci report || true\n", "an exit code is swallowed"),
    ("comment.yml", "          vega: false\n", "", "CML would install canvas"),
    ("comment.yml", "@f12ea7685438c1fc438d50f77519b3860cf5fa98 # v2.0.1", "@v2", "an action without a full hash"),
    ("comment.yml", "      contents: read\n", "      contents: write\n", "comment: may write"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "sound", "planted", "words"), TOLD, ids=[item[2].strip()[-40:] for item in TOLD])
def test_a_fault_planted_where_main_speaks_is_found(name: str, sound: str, planted: str, words: str) -> None:
    text = (ROOT / ".github/workflows" / name).read_text(encoding="utf-8")
    assert sound in text
    found = faults(name, text.replace(sound, planted, 1))
    assert any(words in fault for fault in found), found


def test_the_workflow_passes_over_the_same_files_as_git_is_asked_about() -> None:
    from mainline.ci.words import WORDS

    triggers = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))[True]
    assert triggers["pull_request"]["paths-ignore"] == list(WORDS)
    stages = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    read = {dep for stage in stages for dep in stage["deps"]}
    assert not [dep for dep in read if dep.startswith("docs/") or dep.endswith(".md")], "its run would not start"


def test_what_a_run_packs_is_what_is_taken() -> None:
    from mainline.ci.report import LIMITS

    (job,) = yaml.safe_load((ROOT / ".github/workflows/pull-request.yml").read_text(encoding="utf-8"))["jobs"].values()
    uploads = [step["with"] for step in job["steps"] if "upload-artifact" in step.get("uses", "")]
    (upload,) = [item for item in uploads if item["name"] == "report"]
    names = {Path(line).name for line in upload["path"].split()}
    assert set(LIMITS) <= names and upload["name"] == "report"


def test_the_rules_of_main_ask_for_the_status_that_the_workflow_sets() -> None:
    rules = yaml.safe_load((ROOT / ".github/ruleset.json").read_text(encoding="utf-8"))["rules"]
    (checks,) = [item["parameters"] for item in rules if item["type"] == "required_status_checks"]
    assert [item["context"] for item in checks["required_status_checks"]] == ["mainline/verdict"]
    (review,) = [item["parameters"] for item in rules if item["type"] == "pull_request"]
    assert review["require_code_owner_review"] and review["dismiss_stale_reviews_on_push"]


@pytest.mark.parametrize("name", TOKEN_STEPS)
def test_only_the_steps_that_write_see_a_token(name: str) -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))["jobs"]
    seen = {
        step["run"].split(" --")[0]
        for job in jobs.values()
        for step in job["steps"]
        if "run" in step and "github.token" in str(step.get("env", {}))
    }
    assert seen == TOKEN_STEPS[name]
    for job in jobs.values():
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout"):
                assert step["with"]["persist-credentials"] is False


RELEASE = [
    ("cancel-in-progress: false", "cancel-in-progress: true", "a run is cut off"),
    ("      group: release-rollout\n", "      group: release-${{ github.sha }}\n", "two of them could run at once"),
    ("    concurrency:\n      group: release-build\n      cancel-in-progress: false\n", "", "a run is cut off"),
    ("permissions: {}\n", "permissions: {}\n\nconcurrency:\n  group: release\n  cancel-in-progress: false\n",
     "holds back later merges"),
    ("      statuses: read #", "      statuses: write #", "build: may write"),
    ("      issues: write", "      issues: write\n      statuses: write", "issue: may write"),
    ("run: mainline ci release check", "run: mainline ci release check || true", "an exit code is swallowed"),
    ("run: mainline ci release rollout", "run: mainline ci release rollout\n        continue-on-error: true",
     "continue-on-error"),
]  # fmt: skip


@pytest.mark.parametrize(("sound", "planted", "words"), RELEASE, ids=[item[1].strip()[-40:] for item in RELEASE])
def test_a_fault_planted_in_the_release_is_found(sound: str, planted: str, words: str) -> None:
    text = (ROOT / ".github/workflows/release.yml").read_text(encoding="utf-8")
    assert sound in text
    found = faults("release.yml", text.replace(sound, planted, 1))
    assert any(words in fault for fault in found), found


def jobs_of(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))["jobs"])


def truth(condition: str, known: dict[str, object]) -> bool:
    """Return what GitHub makes of an expression; what is not in ``known`` is an empty text."""
    for name in re.findall(r"(?:github|vars|inputs|needs|steps)(?:\.[\w-]+)+", condition):
        condition = re.sub(rf"(?<![\w.]){re.escape(name)}(?![\w.])", repr(known.get(name, "")), condition)
    condition = re.sub(r"format\('([^']*)', ('[^']*')\)", r"'\1'.format(\2)", condition.strip())
    condition = condition.replace("always()", "True").replace("!cancelled()", "True")
    condition = re.sub(r"!(?!=)", " not ", condition.replace("&&", " and ").replace("||", " or "))
    return bool(eval(f"({condition})", {"__builtins__": {}}))


MAIN = {"github.ref": "refs/heads/trunk", "github.event.repository.default_branch": "trunk"}


def test_production_comes_after_staging_and_after_people() -> None:
    jobs = jobs_of("release.yml")
    assert jobs["rollout"]["environment"] == "production" and set(jobs["rollout"]["needs"]) == {"build", "staging"}
    assert "if" not in jobs["rollout"] and jobs["staging"]["if"] == "needs.build.outputs.go == 'true'"
    commands = [step.get("run") for step in jobs["rollout"]["steps"]]
    assert commands.index("mainline ci release approve") < commands.index("mainline ci release rollout")
    # Whatever comes after the question of who approved comes only if the answer was yes.
    later = jobs["rollout"]["steps"][commands.index("mainline ci release approve") + 1 :]
    assert all(truth(step["if"], {}) is False for step in later if "upload" not in step.get("uses", ""))
    built = [step.get("run") for step in jobs["build"]["steps"]]
    order = [built.index(f"mainline ci release {word}") for word in ("plan", "build", "image")]
    assert order == sorted(order)
    after = jobs["build"]["steps"][order[0] + 1 :]
    assert all(truth(step["if"], {"steps.plan.outputs.target": "kubernetes"}) is False for step in after)
    secret = [step for job in jobs.values() for step in job["steps"] if "secrets." in str(step)]
    assert [step["run"] for step in secret] == ["mainline ci release image"], "no other step sees the registry's token"
    go = {"steps.plan.outputs.go": "true"}
    assert not truth(secret[0]["if"], go | {"steps.plan.outputs.target": "rehearsal"})
    assert truth(secret[0]["if"], go | {"steps.plan.outputs.target": "kubernetes"})
    # Where attestations cannot be had, a release goes on without.
    assert all("attest" not in str(job.get("needs", "")) for job in jobs.values())


def test_nothing_but_the_plan_costs_anything_when_there_is_nothing_to_release() -> None:
    jobs = jobs_of("release.yml")
    for name in ("attest", "staging"):
        assert not truth(jobs[name]["if"], {"needs.build.outputs.go": "false"}), name
    setups = [step for step in jobs["build"]["steps"] if step.get("uses") == "./.github/actions/setup"]
    assert setups[0]["with"] == {"light": "true"} and "if" not in setups[0]
    assert not truth(setups[1]["if"], {"steps.plan.outputs.go": "false"})


@pytest.mark.parametrize("name", ["release.yml", "rollback.yml", "retrain.yml", "monitor.yml", "heartbeat.yml"])
def test_the_default_branch_may_have_any_name(name: str) -> None:
    first = next(iter(jobs_of(name).values()))["if"]
    known: dict[str, object] = {"github.event_name": "push" if name == "release.yml" else "workflow_dispatch"}
    assert truth(first, known | MAIN)
    assert not truth(first, known | MAIN | {"github.ref": "refs/heads/topic"})
    assert not truth(first, known | MAIN | {"github.ref": "refs/tags/trunk"})
    assert not re.search(r"refs/heads/(main|master)", (ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["monitor.yml", "heartbeat.yml"])
def test_a_schedule_that_is_not_configured_starts_no_job(name: str) -> None:
    jobs = jobs_of(name)
    asked = next(iter(jobs.values()))["if"]
    # A schedule's event says nothing of the repository.
    assert len(jobs) == 1 and not truth(asked, {"github.event_name": "schedule", "github.ref": "refs/heads/trunk"})
    assert truth(asked, {"github.event_name": "schedule", "vars.MAINLINE_LOG": "s3://x"})
    triggers = yaml.safe_load((ROOT / ".github/workflows" / name).read_text(encoding="utf-8"))[True]
    assert "push" not in triggers


@pytest.mark.parametrize("name", ["release.yml/issue", "rollback.yml/issue", "heartbeat.yml/alive"])
def test_what_only_reads_and_calls_installs_little(name: str) -> None:
    file, job = name.split("/")
    setups = [step for step in jobs_of(file)[job]["steps"] if step.get("uses") == "./.github/actions/setup"]
    assert [step["with"] for step in setups] == [{"light": "true"}]


RESULTS = [
    # build, staging, rollout, go, whether an issue is open, whether it speaks
    ("failure", "skipped", "skipped", "", "false", True),
    ("failure", "skipped", "skipped", "true", "true", True),
    ("success", "failure", "skipped", "true", "false", True),
    ("success", "success", "failure", "true", "false", True),
    ("success", "success", "success", "true", "true", True),
    ("success", "success", "success", "true", "false", False),
    ("success", "skipped", "skipped", "false", "true", True),
    ("success", "skipped", "skipped", "false", "false", False),
    ("success", "success", "cancelled", "true", "true", False),
    ("cancelled", "skipped", "skipped", "", "true", False),
    ("skipped", "skipped", "skipped", "", "", False),
]


@pytest.mark.parametrize(("build", "staging", "rollout", "go", "issues", "speaks"), RESULTS)
def test_after_a_failure_and_where_an_issue_is_open_the_issue_is_looked_at(
    build: str, staging: str, rollout: str, go: str, issues: str, speaks: bool
) -> None:
    known: dict[str, object] = {"needs.build.result": build, "needs.staging.result": staging,
             "needs.rollout.result": rollout, "needs.build.outputs.go": go,
             "needs.build.outputs.issues": issues}  # fmt: skip
    assert truth(jobs_of("release.yml")["issue"]["if"], known) is speaks


# The actions that the workflows use, and the commit that each version's tag names (`mainline github pins` asks GitHub).
TAGS = {
    "actions/attest-build-provenance": ("v4.2.2", "4d101475d8b20a2381f78447822ac1eab6504dd8"),
    "actions/cache": ("v5.0.3", "cdf6c1fa76f9f475f3d7449005a359c84ca0f306"),
    "actions/checkout": ("v7.0.1", "3d3c42e5aac5ba805825da76410c181273ba90b1"),
    "actions/download-artifact": ("v8.0.1", "3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c"),
    "actions/setup-python": ("v6.3.0", "ece7cb06caefa5fff74198d8649806c4678c61a1"),
    "actions/upload-artifact": ("v7.0.1", "043fb46d1a93c77aae656e7c1c64a875d1fc6a0a"),
}


@pytest.mark.parametrize("name", ["release.yml", "rollback.yml", "heartbeat.yml", "monitor.yml", "retrain.yml"])
def test_every_pin_is_the_tag_that_it_claims(name: str) -> None:
    used = re.findall(
        r"uses: ([\w-]+/[\w-]+)(?:/[\w-]+)?@(\w+) # (\S+)", (ROOT / ".github/workflows" / name).read_text()
    )
    assert used and {(action, version, commit) for action, commit, version in used} <= {
        (action, *known) for action, known in TAGS.items()
    }


@pytest.mark.parametrize(("left", "speaks"), [("bank-0123", True), ("", False)])
def test_a_rollback_that_the_machine_did_not_follow_has_its_issue_too(left: str, speaks: bool) -> None:
    asked = yaml.safe_load((ROOT / ".github/workflows/rollback.yml").read_text(encoding="utf-8"))["jobs"]["issue"]["if"]
    asked = asked.replace("always()", "True").replace("&&", "and").replace("needs.rollback.outputs.left", repr(left))
    assert eval(asked, {"__builtins__": {}}) is speaks


MONITOR = [
    ("cancel-in-progress: false", "cancel-in-progress: true", "a run is cut off"),
    ("  group: monitor\n", "  group: monitor-${{ github.run_id }}\n", "two of them could run at once"),
    ("      issues: write\n", "      issues: write\n      actions: write\n", "watch: may write"),
    ("run: mainline ci monitor watch", "run: mainline ci monitor watch || true", "an exit code is swallowed"),
    ("run: mainline ci monitor conclude", "run: mainline ci monitor conclude\n        continue-on-error: true",
     "continue-on-error"),
]  # fmt: skip


@pytest.mark.parametrize(("sound", "planted", "words"), MONITOR, ids=[item[1].strip()[-40:] for item in MONITOR])
def test_a_fault_planted_in_the_monitor_is_found(sound: str, planted: str, words: str) -> None:
    text = (ROOT / ".github/workflows/monitor.yml").read_text(encoding="utf-8")
    assert sound in text
    found = faults("monitor.yml", text.replace(sound, planted, 1))
    assert any(words in fault for fault in found), found


def test_windows_are_kept_before_they_are_told_and_the_beat_comes_after_both() -> None:
    steps = yaml.safe_load((ROOT / ".github/workflows/monitor.yml").read_text(encoding="utf-8"))["jobs"]["watch"][
        "steps"
    ]
    runs = [str(step.get("run", "")).split(" --")[0] for step in steps]
    order = ["ci monitor watch", "ci monitor save", "monitor issues", "ci monitor beat", "ci monitor conclude"]
    places = [runs.index(f"mainline {word}") for word in order]
    assert places == sorted(places)
    # An alarm makes the run red in its last step, which is no failure of the monitor; what fails before is one.
    (blind,) = [index for index, step in enumerate(steps) if str(step.get("if", "")).startswith("failure()")]
    assert runs[blind] == "mainline monitor blind" and places[-2] < blind < places[-1] == len(steps) - 1
