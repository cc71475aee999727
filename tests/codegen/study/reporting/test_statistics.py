"""Intervals and tests by Student's t, against hand computation and SciPy's own tests."""

from __future__ import annotations

import builtins
import math
import random
from typing import Any

import pytest
from scipy import stats

from codegen.errors import ConfigError
from codegen.study.reporting.statistics import Estimate, estimate, holm, t_tests, welch


def test_interval_by_hand() -> None:
    """2, 4, 9: mean 5, s² = (9 + 1 + 16)/2 = 13, t(2) = 4.30265 in any table."""
    found = estimate([2.0, 4.0, 9.0])
    assert found is not None
    assert (found.mean, found.n) == (5.0, 3)
    assert found.half == pytest.approx(4.30265273 * math.sqrt(13 / 3), rel=1e-8)


def test_one_value_has_no_interval_and_none_has_no_mean() -> None:
    assert estimate([3.5]) == Estimate(3.5, None, 1)
    assert estimate([]) is None
    assert t_tests({"one": [3.5], "none": []})["one"].p is None
    assert "none" not in t_tests({"one": [3.5], "none": []})


@pytest.mark.parametrize("seed", range(5))
def test_paired_test_against_scipy(seed: int) -> None:
    draw = random.Random(seed)
    a = [draw.gauss(0.5, 1) for _ in range(3 + seed)]
    b = [draw.gauss(0, 2) for _ in a]
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    found = t_tests({"d": [x - y for x, y in zip(a, b, strict=True)]})["d"]
    assert found.p == pytest.approx(expected.pvalue, rel=1e-10)
    assert found.estimate.half is not None
    assert found.estimate.mean - found.estimate.half == pytest.approx(interval.low, rel=1e-10)
    assert found.estimate.mean + found.estimate.half == pytest.approx(interval.high, rel=1e-10)


def test_a_sample_without_spread_is_certain() -> None:
    found = t_tests({"apart": [2.0, 2.0], "equal": [0.0, 0.0, 0.0]})
    assert (found["apart"].p, found["equal"].p) == (0.0, 1.0)
    assert found["apart"].resolved
    assert not found["equal"].resolved


@pytest.mark.parametrize("seed", range(5))
def test_welch_from_intervals_is_welch_from_the_samples(seed: int) -> None:
    """The standard deviations are found again in the half widths."""
    draw = random.Random(seed)
    a = [draw.gauss(5, 1) for _ in range(3 + seed)]
    b = [draw.gauss(4, 3) for _ in range(6)]
    one, other = estimate(a), estimate(b)
    assert one is not None
    assert other is not None
    found = welch(one, other)
    interval = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.half is not None
    assert found.mean - found.half == pytest.approx(interval.low, rel=1e-9)
    assert found.mean + found.half == pytest.approx(interval.high, rel=1e-9)
    assert found.n == len(a) + len(b)


def test_welch_with_an_exact_mean_is_a_one_sample_interval() -> None:
    a, exact = estimate([1.0, 2.0, 4.0]), Estimate(2.0, 0.0, 5)
    assert a is not None
    assert a.half is not None
    assert welch(a, exact).half == pytest.approx(a.half, rel=1e-12)
    assert welch(exact, exact) == Estimate(0.0, 0.0, 10)
    assert welch(a, Estimate(2.0, None, 1)).half is None


def test_holm_by_hand() -> None:
    """0.01·4, 0.02·3, then 0.03·2 = 0.06 and 0.04·1, which may not fall below the one before it."""
    assert holm({"d": 0.04, "a": 0.01, "c": 0.03, "b": 0.02}) == pytest.approx(
        {"a": 0.04, "b": 0.06, "c": 0.06, "d": 0.06}
    )
    assert holm({"a": 0.5, "b": 0.9}) == {"a": 1.0, "b": 1.0}


def test_a_test_alone_may_be_resolved_and_not_so_in_its_family() -> None:
    sample = [1.0, 2.0, 3.0, 1.5]
    alone = t_tests({"it": sample})
    family = t_tests({"it": sample} | {k: [1.0, -1.0, 0.3] for k in "abcdef"})
    assert alone["it"].p == family["it"].p
    assert alone["it"].resolved
    assert not family["it"].resolved


def test_without_scipy_the_error_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    original = builtins.__import__

    def refuse(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("scipy"):
            raise ImportError(name)
        return original(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ConfigError, match=r"cellwright\[study\]"):
        estimate([1.0, 2.0])
