"""What a look comes to: checks with their numbers, bounds and directions, and what they add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from mainline.rollout.measures import Share

Outcome = Literal["promote", "hold", "abort", "none"]


@dataclass(frozen=True)
class Check:
    """One rule: ``none`` means that it cannot be judged here, and why is said; it neither promotes nor stops."""

    name: str
    outcome: Outcome
    text: str
    value: float | None = None
    bound: float | None = None
    direction: Literal["<=", ">=", ""] = ""
    n: int = 0

    def evidence(self) -> dict[str, Any]:
        """Return the check as JSON without NaN."""
        value = {"value": _finite(self.value), "bound": _finite(self.bound), "direction": self.direction, "n": self.n}
        return {"name": self.name, "outcome": self.outcome, "text": self.text, **value}


@dataclass(frozen=True)
class Decision:
    """What the checks add up to: any abort aborts, else any hold holds."""

    checks: tuple[Check, ...]

    @property
    def outcome(self) -> Outcome:
        """Return promote, hold or abort."""
        found = {check.outcome for check in self.checks}
        return "abort" if "abort" in found else "promote" if found <= {"promote", "none"} and found else "hold"

    @property
    def reason(self) -> str:
        """Return the sentences that decided; of a passed A/B test its result, which is why it was made."""
        deciding = [check.text for check in self.checks if check.outcome == self.outcome]
        if self.outcome != "promote":
            return "; ".join(deciding)
        tested = [check.text for check in self.checks if check.name == "a/b"]
        return "; ".join(tested) or "all checks passed"

    def evidence(self) -> dict[str, Any]:
        """Return all of it as JSON."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "checks": [check.evidence() for check in self.checks],
        }


def enough(name: str, have: float, want: float, what: str) -> Check:
    """Return hold until there is enough."""
    done = have >= want
    text = f"{math.floor(have):,} of {want:,.0f} {what}"
    return Check(name, "promote" if done else "hold", text, have, want, ">=", int(have))


def share_text(share: Share) -> str:
    """Return a share in words."""
    return f"{share.hits / share.n:.1%} of {share.n:,}" if share.n else "0 of 0"


def _finite(number: float | None) -> float | None:
    return None if number is None or not math.isfinite(number) else float(number)
