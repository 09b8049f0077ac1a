"""What the analysis asks Prometheus, and a reader of such questions.

Canary and stable are told apart by release, not by track: a pod keeps the track that it was started with, also after it
has been promoted. The shadow is another set of pods, and its track is right for as long as they live.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

OWN = frozenset({"release", "track"})
# Every metric of the service and the labels it has beside release and track (docs/kubernetes.md, "Metrics").
METRICS: Mapping[str, frozenset[str]] = {
    "mainline_requests_total": frozenset({"status"}),
    "mainline_request_seconds_bucket": frozenset({"le"}),
    "mainline_request_seconds_count": frozenset(),
    "mainline_request_seconds_sum": frozenset(),
    "mainline_predictions_total": frozenset(),
    "mainline_score_bucket": frozenset({"le"}),
    "mainline_score_count": frozenset(),
    "mainline_score_sum": frozenset(),
    "mainline_unseen_total": frozenset({"column"}),
    "mainline_missing_total": frozenset({"column"}),
    "mainline_log_dropped_total": frozenset(),
    "mainline_feedback_total": frozenset(),
}
# What Prometheus adds to a series of a pod.
SCRAPED = frozenset({"namespace", "pod", "container", "job", "instance"})
# The functions and operators that the queries may use; any other word has to be a metric.
WORDS = frozenset(
    {"sum", "max", "abs", "sqrt", "vector", "scalar", "increase", "histogram_quantile", "clamp_min", "and", "or"}
)
ARGUMENT = re.compile(r"\{\{\s*args\.([\w-]+)\s*\}\}")


@dataclass(frozen=True)
class Arm:
    """One side of a comparison: the label matchers that pick its series."""

    matchers: str

    def events(self, metric: str, more: str = "", by: str = "") -> str:
        """Return the query of how many events ``metric`` counted within the window of the step."""
        inside = f"{self.matchers},{more}" if more else self.matchers
        grouped = f"sum by ({by})" if by else "sum"
        return f"{grouped}(increase({metric}{{{inside}}}[{{{{args.window}}}}]))"

    @property
    def requests(self) -> str:
        """The query of how many requests this side answered within the window of the step."""
        return self.events("mainline_requests_total")

    def count(self, status: str) -> str:
        """Return the query of how many answers had this status; 0 when there are none, for then there is no series."""
        more = f'status=~"{status}"'
        return f"({self.events('mainline_requests_total', more)} or vector(0))"


HERE = 'namespace="{{args.namespace}}"'
CANARY = Arm(f'{HERE},release="{{{{args.release}}}}",track!="shadow"')
STABLE = Arm(f'{HERE},release!="{{{{args.release}}}}",track!="shadow"')
SHADOW = Arm(f'{HERE},release="{{{{args.release}}}}",track="shadow"')


def traffic(arm: Arm) -> str:
    """Return the query of this side's requests as a multiple of the step's minimum."""
    return f"{arm.requests} / {{{{args.requests}}}}"


def more_often(status: str, arm: Arm, other: Arm = STABLE) -> str:
    """Return the query of how many standard errors more often ``arm`` answers with ``status`` than ``other`` does.

    Two Poisson counts x of n and y of m, brought to equal variance by the square root (Huffman 1984, "An improved
    approximate two-sample Poisson test", Applied Statistics 33): with r = n / m,
    z = 2 (sqrt(x + 3/8) - sqrt(r (y + 3/8))) / sqrt(1 + r). A single stray error stays below 2.4, where the usual test
    of two shares already rejects. No answers on a side: no result.
    """
    ratio = f"({arm.requests} / {other.requests})"
    here, there = arm.count(status), other.count(status)
    z = f"2 * (sqrt({here} + 0.375) - sqrt({ratio} * ({there} + 0.375))) / sqrt(1 + {ratio})"
    return f"({z})\nand {arm.requests} > 0\nand {other.requests} > 0"


def latency_ratio(arm: Arm, minimum: int, floor_ms: float = 0, other: Arm = STABLE) -> str:
    """Return the query of p99 of ``arm`` over p99 of ``other``, both taken as at least ``floor_ms``.

    No result below ``minimum`` requests of ``arm``.
    """

    def p99(side: Arm) -> str:
        quantile = f"histogram_quantile(0.99, {side.events('mainline_request_seconds_bucket', by='le')})"
        return f"clamp_min({quantile}, {floor_ms / 1000:g})"

    return f"({p99(arm)}\n/ {p99(other)})\nand {arm.requests} >= {minimum}"


def score_distance(arm: Arm, other: Arm = STABLE) -> str:
    """Return the query of how far the score distributions lie apart, beyond what chance explains.

    Kolmogorov-Smirnov distance over the histogram's buckets, less its 99.9 % point under no difference,
    1.95 sqrt(1 / n + 1 / m): the share of scores that lie elsewhere, at least.
    """
    metric = "mainline_score"

    def shares(side: Arm) -> str:
        return f"{side.events(f'{metric}_bucket', by='le')} / scalar({side.events(f'{metric}_count')})"

    n, m = arm.events(f"{metric}_count"), other.events(f"{metric}_count")
    return f"(max(abs(\n{shares(arm)}\n- {shares(other)}))\n- 1.95 * sqrt(1 / {n} + 1 / {m}))\nand {n} > 0\nand {m} > 0"


def breach(arm: Arm, errors: int) -> str:
    """Return the query of the share of server errors; 0 while there are fewer than ``errors`` of them."""
    failed = arm.count("5..")
    return f"({failed} / {arm.requests} and {failed} >= {errors})\nor 0 * {arm.requests}"


def faults(query: str) -> list[str]:
    """Return what is wrong with a query: a metric or a label that the service does not have, unequal brackets."""
    text = ARGUMENT.sub("0", query)
    found = []
    bare = re.sub(r'"[^"]*"', '""', text)
    for opening, closing in ("()", "[]", "{}"):
        if bare.count(opening) != bare.count(closing):
            found.append(f"unequal brackets {opening}{closing}")
    for name, inside in re.findall(r"([a-zA-Z_:][\w:]*)\s*\{([^}]*)\}", bare):
        labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", inside))
        if name not in METRICS:
            continue  # named below, with those that stand without labels
        found += [f"label {label} is none of {name}'s" for label in sorted(labels - OWN - SCRAPED - set(METRICS[name]))]
        if "namespace" not in labels:
            found.append(f"{name} is not held to one namespace")
    rest = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    grouped = {label for inside in re.findall(r"\b(?:by|on|ignoring)\s*\(([^)]*)\)", rest)
               for label in re.findall(r"\w+", inside)}  # fmt: skip
    found += [f"label {label} is unknown" for label in sorted(grouped - {"le", "status", "column"} - OWN - SCRAPED)]
    rest = re.sub(r"\b(by|on|ignoring)\s*\([^)]*\)", "", rest)
    names = set(re.findall(r"[a-zA-Z_:][\w:]*", rest)) - WORDS
    found += [f"metric {name} is none of the service's" for name in sorted(names - set(METRICS))]
    used = names & set(METRICS)
    found += [f"{name} is read without labels" for name in sorted(used) if re.search(rf"\b{name}\b\s*(?!\s*\{{)", bare)]
    return sorted(set(found))
