"""From case and gates to promote, hold or reject. A pure function; see docs/decisions/0008-verdict.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from mainline.compare.bound import Bound, Level

Outcome = Literal["promote", "hold", "reject"]
Case = Literal[
    "first model",
    "identical model",
    "compared",
    "champion not reproducible",
    "champion saw test rows",
    "champion cannot score",
    "too few rows",
]
EXIT_CODES: dict[Outcome, int] = {"promote": 0, "reject": 1, "hold": 3}  # 2 is a mistake on the command line
# What a case decides by itself, whatever the gates say.
BY_CASE: dict[Case, Outcome] = {
    "champion not reproducible": "hold",
    "champion saw test rows": "reject",
    "champion cannot score": "hold",
    "too few rows": "hold",
}
# Cases whose reason is the sentence of a gate.
GATES: dict[Case, str] = {"champion saw test rows": "rows seen by the champion", "too few rows": "test rows"}
ALWAYS = ("test rows", "data", "split", "lock", "remote", "evaluation", "scores")
COMPARED = ("primary", "slices", "calibration error", "fairness gap", "business value", "latency ratio", "size ratio",
            "rows seen by the champion")  # fmt: skip


@dataclass(frozen=True)
class Reason:
    """Why the verdict is what it is; a note changes nothing, but a reviewer must see it."""

    level: Level
    gate: str
    text: str

    def row(self) -> dict[str, Any]:
        """Return the reason as a row of verdict.json."""
        return asdict(self)


@dataclass(frozen=True)
class Verdict:
    """The outcome, one sentence for it, and every reason: rejections first, then holds, then notes."""

    verdict: Outcome
    reason: str
    reasons: tuple[Reason, ...]

    @property
    def exit_code(self) -> int:
        """The exit code of ``mainline compare``."""
        return EXIT_CODES[self.verdict]


def decide(case: Case, said: str, gates: Sequence[Bound], notes: Sequence[Reason] = ()) -> Verdict:
    """Return the verdict: the strictest of the case and the gates.

    ``said`` is the sentence of the case: the reason of a promotion, and of what the case itself decides. A gate that
    the case must have and that is absent holds: nothing passes by omission.
    """
    found = [Reason(gate.level, gate.gate, gate.sentence()) for gate in gates if gate.level]
    # One that is neither passed nor has a level was made by no function of gates.py; it must not slip through.
    found += [Reason("hold", gate.gate, gate.sentence()) for gate in gates if not gate.passed and not gate.level]
    names = {gate.gate.split(": ")[0] for gate in gates}
    needed = [*ALWAYS, *(COMPARED if case == "compared" else ())]
    wanted = [name for name in needed if name not in names]
    found += [Reason("hold", name, f"{name}: the gate is missing") for name in wanted]
    own = BY_CASE.get(case)
    if own in ("hold", "reject") and GATES.get(case) not in {item.gate for item in found}:
        found.insert(0, Reason(own, case, f"{case}: {said}"))
    levels = [item.level for item in found]
    outcome: Outcome = "reject" if "reject" in levels else "hold" if "hold" in levels else "promote"
    ordered = sorted(found, key=lambda item: ("reject", "hold", "note").index(item.level))
    reason = _loudly(said, gates) if outcome == "promote" else ordered[0].text
    return Verdict(outcome, reason, (*ordered, *notes))


def _loudly(said: str, gates: Sequence[Bound]) -> str:
    """Return the reason of a promotion; bounds that were passed over are named in the same breath."""
    over = [gate.gate for gate in gates if gate.level == "note"]
    if not over:
        return said
    bounds = "a bound" if len(over) == 1 else f"{len(over)} bounds"
    return f"{said}; below {bounds} as the champion is: {', '.join(over)}"
