"""Faults in the workflows: what lets a failure pass, and what gives a stranger the keys."""

from __future__ import annotations

from planted.plants import Fault, Plant, text

WORKFLOW = ".github/workflows/pull-request.yml"
TRAIN = "run: mainline ci train"
COMPARE = 'run: mainline compare --against "$BASE_COMMIT"'
PIN = "uses: actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1"
SWALLOWED = "an exit code is swallowed"


def _fault(name: str, old: str, new: str, way: str, gate: str, *says: str) -> Fault:
    plant: Plant = text(WORKFLOW, old, new)
    return Fault("workflow", name, plant, (way,), gate, says or (gate,), "stops")


def _rule(name: str, old: str, new: str, gate: str) -> Fault:
    return _fault(name, old, new, "workflow rules", gate)


WORKFLOWS = [
    _rule("an exit code swallowed: or true", TRAIN, f"{TRAIN} || true", SWALLOWED),
    _rule("an exit code swallowed: `set +e`", TRAIN, "run: set +e; mainline ci train", SWALLOWED),
    _rule("an exit code swallowed by a pipe", COMPARE, f"{COMPARE} | tee log", SWALLOWED),
    _rule("`continue-on-error` on the comparison", COMPARE, f"{COMPARE}\n        continue-on-error: true",
          "continue-on-error"),
    _rule("an action named by a tag", PIN, "uses: actions/checkout@v7", "an action without a full hash"),
    _fault("an action named by a branch", PIN, "uses: actions/checkout@main", "zizmor", "zizmor",
           "unpinned-uses"),
    _fault("a stranger's code run with the keys", "  pull_request:\n", "  pull_request_target:\n", "zizmor", "zizmor",
           "dangerous-triggers"),
    _fault("a branch's name pasted into a script", '"$BASE_COMMIT"', "${{ github.head_ref }}", "zizmor", "zizmor",
           "template-injection"),
    _fault("a result asked for that no step gives", "steps.check.outcome", "steps.plan.outcome", "actionlint",
           "actionlint", 'property "plan" is not defined'),
]  # fmt: skip
