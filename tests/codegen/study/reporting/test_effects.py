"""Effects over a design, against a linear regression on ±½ codes; pairing, and what is missing."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest
from scipy import stats

from codegen.study.protocol import Design
from codegen.study.reporting.effects import (
    baseline,
    contrast,
    differences,
    effects,
    ranking,
    versus_best,
)
from codegen.study.reporting.scale import scale_of
from codegen.study.results import Outcome, Results
from tests.codegen.study.synthetic import FACTORS, LEVELS, study


def of(results: Results) -> dict[tuple[str, int], float]:
    """The loss of each trial's best epoch, by cell and seed."""
    return {
        (str(t.options["cell"]), int(t.options["seed"])): min(e.valid_sum for e in t.epochs)
        for t in results.trials
        if t.outcome is Outcome.FINISHED
    }


@pytest.mark.parametrize("k", [1, 2, 3, 4])
def test_contrasts_are_the_coefficients_of_a_regression(k: int) -> None:
    """One column an effect: half the product of its factors' codes −1 and +1, so ±½."""
    draw = random.Random(k)
    names = tuple("ABCD"[:k])
    levels = {f"cell {n}": codes for n, codes in enumerate(product((0, 1), repeat=k))}
    losses = {cell: draw.gauss(400, 10) for cell in levels}
    terms = [term for size in range(1, k + 1) for term in combinations(range(k), size)]
    rows = [[1.0, *(np.prod([2 * codes[i] - 1 for i in t]) / 2 for t in terms)] for codes in levels.values()]
    solution = np.linalg.lstsq(np.array(rows), np.array(list(losses.values())), rcond=None)[0]
    design = Design(names, levels)
    for coefficient, term in zip(solution[1:], terms, strict=True):
        assert contrast(design, tuple(names[i] for i in term), losses) == pytest.approx(coefficient, abs=1e-9)


def test_interaction_is_half_the_difference_of_the_effects() -> None:
    design = Design(("A", "B"), {"none": (0, 0), "a": (1, 0), "b": (0, 1), "ab": (1, 1)})
    losses = {"none": 10.0, "a": 13.0, "b": 9.0, "ab": 20.0}
    assert contrast(design, ("A",), losses) == (3.0 + 11.0) / 2
    assert contrast(design, ("B",), losses) == (-1.0 + 7.0) / 2
    assert contrast(design, ("A", "B"), losses) == (11.0 - 3.0) / 2


def test_effects_are_tested_over_the_seeds_that_have_all_cells() -> None:
    """The last trial, of the last cell at the last seed, failed: that seed takes no part."""
    results = study((0.001,))
    (found,) = effects(results, scale_of(results.protocol).of)
    losses = of(results)
    with_, without = [c for c in LEVELS if LEVELS[c][1]], [c for c in LEVELS if not LEVELS[c][1]]
    sample = [
        np.mean([losses[c, seed] for c in with_]) - np.mean([losses[c, seed] for c in without])
        for seed in range(4)
    ]
    expected = stats.ttest_1samp(sample, 0)
    test = found.tests["diff 2",]
    assert test.estimate.n == 4
    assert test.estimate.mean == pytest.approx(np.mean(sample), rel=1e-10)
    assert test.p == pytest.approx(expected.pvalue, rel=1e-8)
    assert found.left_out == ("seed 4 (lstm failed)",)
    assert list(found.tests)[:4] == [("diff 1",), ("diff 2",), ("diff 3",), ("diff 1", "diff 2")]
    assert len(found.tests) == 2**3 - 1


def test_each_setting_has_effects_of_its_own() -> None:
    results = study((0.003, 0.0001))
    fast, slow = effects(results, scale_of(results.protocol).of)
    assert (fast.setting, slow.setting) == ((("learning_rate", 0.003),), (("learning_rate", 0.0001),))
    assert fast.left_out == ("seed 1 (pseudo-lstm diverged)",)
    assert fast.tests["diff 2",].estimate.mean < -30 < slow.tests["diff 2",].estimate.mean


def test_an_incomplete_design_says_what_is_missing() -> None:
    results = study((0.001,), ("pseudo-lstm", "pseudo-lstm-d1", "lstm"), 3)
    (found,) = effects(results, scale_of(results.protocol).of)
    assert not found.tests
    assert "no trial of pseudo-lstm-d2" in found.missing
    part = {cell: codes for cell, codes in LEVELS.items() if cell != "lstm"}
    (found,) = effects(
        replace(results, protocol=replace(results.protocol, design=Design(FACTORS, part))), len
    )
    assert "no cell with diff 1 = 1, diff 2 = 1, diff 3 = 1" in found.missing


def test_differences_pair_each_cell_with_the_baseline() -> None:
    results = study((0.003,), ("pseudo-lstm", "pseudo-lstm-d2", "lstm"))
    (found,) = differences(results, scale_of(results.protocol).of)
    losses = of(results)
    expected = stats.ttest_rel(
        [losses["lstm", seed] for seed in (0, 2, 3)], [losses["pseudo-lstm", seed] for seed in (0, 2, 3)]
    )
    assert found.baseline == "pseudo-lstm"
    assert found.tests["lstm"].p == pytest.approx(expected.pvalue, rel=1e-8)
    assert found.tests["pseudo-lstm-d2"].estimate.n == 4
    assert found.left_out == ("seed 1 (pseudo-lstm diverged)", "seed 4 (lstm failed)")


def test_baseline_is_the_cell_without_any_factor_and_else_the_first() -> None:
    results = study((0.001,), ("lstm", "pseudo-lstm-d2", "pseudo-lstm"), 2)
    assert baseline(results) == "pseudo-lstm"
    assert baseline(replace(results, protocol=replace(results.protocol, design=None))) == "lstm"


def test_the_others_are_compared_with_the_best() -> None:
    results = study((0.001,))
    tests = versus_best(results, (("learning_rate", 0.001),), "pseudo-lstm-d2", scale_of(results.protocol).of)
    assert "pseudo-lstm-d2" not in tests
    assert tests["lstm"].resolved
    assert tests["lstm"].estimate.mean > 5


def test_ranking_is_resolved_only_if_every_neighbour_is() -> None:
    results = study((0.003, 0.001))
    fast, slow = (ranking(found) for found in effects(results, scale_of(results.protocol).of))
    assert fast is not None
    assert slow is not None
    assert slow.order == ("diff 3", "diff 1", "diff 2")
    assert slow.resolved
    assert fast.steps["diff 1", "diff 2"].resolved
    assert not fast.steps["diff 3", "diff 1"].resolved
    assert not fast.resolved


def test_without_a_design_there_are_no_effects() -> None:
    results = study((0.001,), seeds=1)
    assert effects(replace(results, protocol=replace(results.protocol, design=None)), len) == ()
