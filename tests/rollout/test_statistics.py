from __future__ import annotations

import math

import numpy as np
import pytest

from mainline.rollout.statistics import (
    Mean,
    Window,
    concurrent_evidence,
    correlation_bound,
    difference,
    distance,
    distance_noise,
    historic_evidence,
    quantile_bounds,
    sample_size,
    wilson,
)


def test_evidence_is_one_without_errors_and_on_average_one_under_equality() -> None:
    assert concurrent_evidence([]) == concurrent_evidence([Window(100, 0, 1900, 0)]) == 1.0
    generator = np.random.default_rng(1)
    drawn = [concurrent_evidence([Window(500, generator.binomial(500, 0.01), 500, generator.binomial(500, 0.01))])
             for _ in range(4000)]  # fmt: skip
    assert np.mean(drawn) < 1.1, "an e-value's mean is at most 1; its noise is not"


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5])
def test_under_equality_evidence_hardly_ever_exceeds_its_bound_at_any_look(share: float) -> None:
    generator, exceeded = np.random.default_rng(2), 0
    for _ in range(300):
        windows: list[Window] = []
        for _ in range(30):
            n, m = int(1000 * share), int(1000 * (1 - share))
            rate = generator.choice([0.0, 0.01, 0.2])  # both get worse and better together
            windows.append(Window(n, generator.binomial(n, rate), m, generator.binomial(m, rate)))
            if concurrent_evidence(windows) >= 20:
                exceeded += 1
                break
    assert exceeded / 300 <= 0.05


def test_evidence_grows_with_errors_of_the_candidate_alone() -> None:
    assert concurrent_evidence([Window(100, 5, 100, 0)]) > concurrent_evidence([Window(100, 3, 100, 0)]) > 1
    assert concurrent_evidence([Window(100, 0, 100, 9)]) < 1
    assert concurrent_evidence([Window(10_000, 10_000, 10, 0)]) > 0, "no overflow"
    assert historic_evidence(1000, 50, 0.01) > 20 > historic_evidence(1000, 10, 0.01)
    assert historic_evidence(0, 0, 0.01) == 1.0


def test_wilson_bounds_hold_their_share() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    low, high = wilson(95, 100, 1.96)
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    assert wilson(50, 50)[1] == 1.0


def test_distance_is_scipys_and_its_noise_bound_holds() -> None:
    from scipy.stats import ks_2samp

    generator = np.random.default_rng(3)
    a, b = generator.normal(size=400), generator.normal(0.3, 1, 300)
    assert distance(a, b) == pytest.approx(ks_2samp(a, b).statistic)
    assert math.isnan(distance(a, np.empty(0)))
    same = [distance(generator.random(300), generator.random(500)) for _ in range(500)]
    assert np.mean(np.array(same) > distance_noise(300, 500, 0.05)) <= 0.08


def test_quantile_bounds_enclose_the_quantile() -> None:
    generator, edges = np.random.default_rng(4), [float(value) for value in range(1, 100)]
    inside = 0
    for _ in range(200):
        values = generator.exponential(10, 2000)
        counts = np.bincount(np.searchsorted(edges, values), minlength=len(edges) + 1)
        low, high = quantile_bounds(edges, [int(count) for count in counts], 0.99)
        inside += low <= 10 * math.log(100) <= high
    assert inside >= 198
    assert all(math.isnan(bound) for bound in quantile_bounds(edges, [0] * 100, 0.99))


def test_a_sample_of_the_computed_size_has_the_power() -> None:
    stable, candidate = sample_size(10, 1, 0.05, 0.8, 0.5)
    assert stable == candidate == 1237
    assert sample_size(10, 1, 0.05, 0.8, 0.1)[1] < stable < sample_size(10, 1, 0.05, 0.8, 0.1)[0]
    generator, found = np.random.default_rng(5), 0
    for _ in range(400):
        gap = generator.normal(1, 10, candidate).mean() - generator.normal(0, 10, stable).mean()
        found += gap / (10 * math.sqrt(2 / stable)) > 1.645
    assert 0.74 <= found / 400 <= 0.86


def test_means_and_their_difference() -> None:
    one, other = Mean(), Mean()
    for value in (1.0, 2.0, 3.0):
        one, other = one.plus(value), other.plus(2 * value)
    gap, error, n = difference([other], [one])
    assert (gap, round(error, 3), n) == (2.0, 1.291, 3)
    assert math.isnan(Mean().mean)
    assert math.isnan(difference([Mean()], [one])[0]) and difference([one], [])[2] == 0


def test_each_step_is_its_own_control() -> None:
    # Both are worth the same at any time, more and more of it; the candidate has most of its requests late.
    def worth(n: int, level: float) -> Mean:
        return sum((Mean(1, value, value * value) for value in level + np.linspace(-1, 1, n)), Mean())

    candidate, stable = [worth(10, 0), worth(500, 8), worth(900, 9)], [worth(990, 0), worth(500, 8), worth(1, 9)]
    gap, error, n = difference(candidate, stable)
    assert (abs(gap) < 1e-9, n) == (True, 510), "the last step has one request of stable: no comparison"
    assert 0 < error < 0.1
    pooled = difference([sum(candidate, Mean())], [sum(stable, Mean())])[0]
    assert pooled > 5, "what a plain difference would make of it"


def test_a_correlation_is_bounded_by_its_sample() -> None:
    assert correlation_bound(-0.9, 3) == 1.0
    assert correlation_bound(-0.5, 10) > 0 > correlation_bound(-0.5, 1000)
    assert correlation_bound(float("nan"), 1000) == 1.0
