"""What a study found, in sentences made from its numbers: what is resolved, what is not, what diverged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from codegen.study.reporting.effects import Effects, effect_name, effects, ranking, versus_best
from codegen.study.reporting.groups import Group, Setting, comparison, groups, places, setting_name, settings
from codegen.study.reporting.scale import decimals, number, plus_minus, scale_of
from codegen.study.reporting.statistics import Estimate
from codegen.study.results import Outcome, Results


def answers(results: Results) -> dict[str, list[str]]:
    """Sentences under headings, each true by itself; a heading without sentences is left out."""
    found = groups(results)
    said = {
        "The trials": [_counts(results), *_divergence(found)],
        "The lowest loss": [s for setting in settings(results) for s in _best(results, setting)],
        "The factors": _factors(results),
        "Beside the published figures": _published(results, found),
    }
    return {heading: sentences for heading, sentences in said.items() if sentences}


def _counts(results: Results) -> str:
    counts = Counter(trial.outcome for trial in results.trials)
    parts = [f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome]]
    return f"Of {len(results.trials)} trials, {_listed(parts)}."


def _divergence(found: Iterable[Group]) -> list[str]:
    where = [
        f"{group.cell} at {setting_name(group.setting) or 'its only setting'} ({n} of {len(group.trials)})"
        for group in found
        if (n := group.count(Outcome.DIVERGED))
    ]
    return [f"Diverged: {_listed(where)}."] if where else []


def _best(results: Results, setting: Setting) -> list[str]:
    """Which cell has the lowest mean, and which others cannot be told from it."""
    scale = scale_of(results.protocol)
    there = [group for group in groups(results) if group.setting == setting]
    means = {group.cell: e for group in there if (e := group.estimate(scale.of)) is not None}
    if len(means) < 2:
        return []
    best = min(means, key=lambda cell: means[cell].mean)
    tests = versus_best(results, setting, best, scale.of)
    above = [cell for cell, test in tests.items() if test.resolved and test.estimate.mean > 0]
    open_ = [cell for cell in means if cell not in (best, *above)]
    if open_:
        verdict = f"paired over the seeds, it is not resolved from {_listed(open_)}"
    else:
        verdict = "paired over the seeds, it is below every other cell that has a mean, at 95%"
    mean = plus_minus(means[best], places(results))
    return [f"{_head(setting)}{best} has the lowest mean, {mean}; {verdict}."]


def _factors(results: Results) -> list[str]:
    found = effects(results, scale_of(results.protocol).of)
    if found and found[0].missing:  # the same for every setting
        return [f"The effects are not computed: {_listed(found[0].missing)}."]
    return [_effects(effect) for effect in found]


def _effects(found: Effects) -> str:
    """Which effects are resolved, the largest first, and whether the factors' order is."""
    head = _head(found.setting)
    if not found.tests:
        return f"{head}the effects are not computed: no seed has all cells."
    by_size = sorted(found.tests.items(), key=lambda item: -abs(item[1].estimate.mean))
    shown = decimals(test.estimate for test in found.tests.values())
    resolved = [
        f"{effect_name(factors)} ({plus_minus(test.estimate, shown, signed=True)})"
        for factors, test in by_size
        if test.resolved
    ]
    open_ = [effect_name(factors) for factors, test in by_size if not test.resolved]
    parts = [f"resolved: {_listed(resolved)}" if resolved else "no effect is resolved"]
    parts += [f"not resolved: {_listed(open_)}"] if open_ and resolved else []
    return " ".join([f"{head}{'; '.join(parts)}.", *order_in_words(found)])


def order_in_words(found: Effects) -> list[str]:
    """Whether it is sure which factor raises the loss most, and which least; nothing for a single factor."""
    order = ranking(found)
    if order is None:
        return []
    shown = " > ".join(order.order)
    if order.resolved:
        return [f"The order of the factors by what each adds to the loss is resolved at 95%: {shown}."]
    pairs = [
        f"{a} and {b} (apart by {plus_minus(test.estimate, decimals([test.estimate]))})"
        for (a, b), test in order.steps.items()
        if not test.resolved
    ]
    return [
        f"The order of the factors by what each adds to the loss, {shown}, is not resolved at 95% between "
        f"{_listed(pairs)}."
    ]


def _published(results: Results, found: Iterable[Group]) -> list[str]:
    """How many means agree with the published ones, and how far the others are apart."""
    compared = [c for group in found if (c := comparison(results.protocol, group)) is not None]
    parts = []
    for verdict in ("within", "lower", "higher", "no interval"):
        there = [c.difference for c in compared if c.verdict == verdict and c.difference is not None]
        if there:
            head = f"{len(there)} {'mean is' if len(there) == 1 else 'means are'}"
            parts.append(f"{head} {_judged(verdict, there, places(results))}")
    return [f"Compared with the published figures, {_listed(parts)}."] if parts else []


def _judged(verdict: str, differences: list[Estimate], shown: int) -> str:
    if verdict == "within":
        return "within the interval of the difference"
    if verdict == "no interval":
        return "without an interval to judge by"
    return f"{verdict} {_by_how_much(differences, shown)}"


def _by_how_much(differences: list[Estimate], shown: int) -> str:
    """`by 1.2 ± 0.9`, or `by 1.2 to 3.4`."""
    if len(differences) == 1:
        only = differences[0]
        return f"by {plus_minus(replace(only, mean=abs(only.mean)), shown)}"
    sizes = sorted(abs(difference.mean) for difference in differences)
    return f"by {number(sizes[0], shown)} to {number(sizes[-1], shown)}"


def _head(setting: Setting) -> str:
    name = setting_name(setting)
    return f"At {name}: " if name else ""


def _listed(parts: Iterable[str]) -> str:
    """`a, b and c`."""
    *first, last = parts
    return f"{', '.join(first)} and {last}" if first else last
