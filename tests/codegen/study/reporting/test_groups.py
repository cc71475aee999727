"""Trials by cell and setting, who enters a mean, and the comparison with published figures."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from codegen.study.protocol import Protocol, Published, PublishedLoss
from codegen.study.reporting.groups import comparison, groups, places, setting_name
from codegen.study.reporting.scale import Scale, half, number, plain, plus_minus, probability, scale_of
from codegen.study.reporting.statistics import Estimate
from codegen.study.results import Epoch, Outcome, Results, Trial
from tests.codegen.study.synthetic import study


def made(losses: dict[int, tuple[float, ...]], outcomes: dict[int, Outcome] | None = None) -> Results:
    """One cell at one setting; for each seed, the losses after its epochs."""
    published = Published("somewhere", 3, (PublishedLoss({"cell": "gru", "rate": 0.1}, 100.0, 2.0),))
    grid = {"seed": tuple(losses), "cell": ("gru",), "rate": (0.1,)}
    trials = tuple(
        Trial(
            {"seed": seed, "cell": "gru", "rate": 0.1},
            (outcomes or {}).get(seed, Outcome.FINISHED),
            tuple(Epoch(n, 1.0, loss / 10, loss, 1.0, n) for n, loss in enumerate(column, 1)),
        )
        for seed, column in losses.items()
    )
    return Results(Protocol("made", "Made", grid, published=published), trials)


def test_groups_hold_what_differs_in_the_seed_alone() -> None:
    results = study((0.003, 0.001), ("lstm", "pseudo-lstm"), 3)
    found = groups(results)
    assert [(group.cell, setting_name(group.setting)) for group in found] == [
        ("lstm", "learning rate 0.003"),
        ("pseudo-lstm", "learning rate 0.003"),
        ("lstm", "learning rate 0.001"),
        ("pseudo-lstm", "learning rate 0.001"),
    ]
    assert all([trial.options["seed"] for trial in group.trials] == [0, 1, 2] for group in found)


def test_only_finished_trials_enter_the_mean_and_all_are_counted() -> None:
    outcomes = {2: Outcome.DIVERGED, 3: Outcome.FAILED, 4: Outcome.UNFINISHED}
    results = made({0: (103.0, 101.0, 102.0), 1: (105.0,), 2: (1.0,), 3: (), 4: (2.0,)}, outcomes)
    (group,) = groups(results)
    mean = group.estimate(lambda epoch: epoch.valid_sum)
    assert mean is not None
    assert (mean.mean, mean.n) == (103.0, 2)
    assert mean.half == pytest.approx(12.7062047 * 2, rel=1e-8)  # t(1)·(s/√2), s/√2 = 2
    assert group.tally == "2 of 5, 1 diverged, 1 failed, 1 unfinished"
    assert group.best_epochs == "1.5 (1–2)"


def test_a_group_of_which_nothing_finished_has_no_mean() -> None:
    (group,) = groups(made({0: (1.0,)}, {0: Outcome.DIVERGED}))
    assert group.estimate(lambda epoch: epoch.valid) is None
    assert (group.tally, group.best_epochs) == ("0 of 1, 1 diverged", "")


def test_published_difference_by_hand() -> None:
    """Ours: 103, 105, 107 has s/√3 = 2/√3. Theirs: 2/t(2) = 2/4.30265."""
    results = made({0: (103.0,), 1: (105.0,), 2: (107.0,)})
    found = comparison(results.protocol, groups(results)[0])
    assert found is not None
    assert found.difference is not None
    ours, theirs = 4 / 3, (2 / 4.30265273) ** 2
    freedom = (ours + theirs) ** 2 / (ours**2 / 2 + theirs**2 / 2)
    assert 2 < freedom < 3  # between the quantiles 4.303 and 3.182
    assert found.difference.mean == 5.0
    assert 3.182 < (found.difference.half or 0) / math.sqrt(ours + theirs) < 4.303
    assert found.verdict == "higher"


@pytest.mark.parametrize(
    ("losses", "verdict"),
    [((99.0, 100.0, 102.0), "within"), ((80.0, 80.5, 81.0), "lower"), ((101.0,), "no interval")],
)
def test_verdicts(losses: tuple[float, ...], verdict: str) -> None:
    results = made({seed: (loss,) for seed, loss in enumerate(losses)})
    found = comparison(results.protocol, groups(results)[0])
    assert found is not None
    assert found.verdict == verdict


def test_a_group_without_a_published_figure_has_no_comparison() -> None:
    results = made({0: (1.0,), 1: (2.0,)})
    (group,) = groups(results)
    assert comparison(results.protocol, replace(group, setting=(("rate", 0.2),))) is None
    assert comparison(replace(results.protocol, published=None), group) is None
    unfinished = replace(group, trials=())
    found = comparison(results.protocol, unfinished)
    assert found is not None
    assert found.verdict == "no mean"


def test_the_unit_is_that_of_the_task() -> None:
    protocol = study((0.001,), seeds=1).protocol
    assert scale_of(protocol).words
    adding = replace(protocol, training={"task": "adding"}, published=None)
    assert scale_of(adding) == Scale("mean squared error")
    epoch = Epoch(1, 1.0, 0.5, 5.0, 1.0, 1.0)
    assert (scale_of(adding).of(epoch), scale_of(protocol).of(epoch)) == (0.5, 5.0)
    several = replace(adding, grid={**adding.grid, "task": ("adding", "language")})
    assert scale_of(several) == Scale("loss")


def test_numbers_as_they_are_written() -> None:
    assert plus_minus(Estimate(386.04, 0.81, 5), 1) == "386.0\u00a0±\u00a00.8"
    assert plus_minus(Estimate(-3.14, None, 1), 1, signed=True) == "−3.1\u00a0±\u00a0—"
    assert plus_minus(None, 1) == "—"
    assert half(Estimate(1.0, 0.004, 2), 1) == "0.004"  # not ± 0.0
    assert number(-0.04, 1) == "0.0"
    assert number(-24192762.07, 1) == "−2.42e+07"
    assert (probability(0.0004), probability(0.0471), probability(None)) == ("< 0.001", "0.047", "—")


def test_an_options_value_is_shortened_only_if_it_stays_the_same() -> None:
    shown = [plain(value) for value in (1e-3, 1 / 3, 30, "article")]
    assert shown == ["0.001", "0.3333333333333333", "30", "article"]


def test_decimals_show_two_digits_of_a_usual_interval() -> None:
    assert places(made({0: (386.0,), 1: (387.0,)})) == 1  # ± 6.4
    assert places(made({0: (0.0171,), 1: (0.0172,)})) == 5  # ± 0.00064
    assert places(made({0: (386.0,)})) == 2  # five digits of the mean
