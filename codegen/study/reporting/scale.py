"""In which unit the losses of a study are compared, and how its numbers are written."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from codegen.study.protocol import Protocol, Value
from codegen.study.reporting.statistics import Estimate
from codegen.study.results import Epoch
from codegen.training.tasks import LANGUAGE

LOSSES = {"adding": "mean squared error"}
"""What the loss of a generated task is, where it has a name that says more than "loss"."""

NOTHING = "—"


@dataclass(frozen=True)
class Scale:
    """The unit of the losses that are compared.

    Attributes:
        name: of the loss, as a heading.
        unit: what it is counted in; empty if the name says it.
        sums: whether it is `Epoch.valid_sum`, else it is `Epoch.valid`.
        words: whether a prediction is a word, so that nats a word and perplexity have a meaning.
    """

    name: str
    unit: str = ""
    sums: bool = False
    words: bool = False

    @property
    def label(self) -> str:
        """Of an axis."""
        return f"validation {self.name}, {self.unit}" if self.unit else f"validation {self.name}"

    def of(self, epoch: Epoch) -> float:
        """The validation loss after an epoch."""
        return epoch.valid_sum if self.sums else epoch.valid


def scale_of(protocol: Protocol) -> Scale:
    """The article's unit for a language model; the mean loss for generated tasks.

    Published figures are in the article's unit, so that a study which has some is compared in it.
    """
    tasks = set(protocol.grid.get("task", (protocol.training.get("task", LANGUAGE),)))
    if tasks == {LANGUAGE}:
        return Scale("loss", "nats summed over the batches", sums=True, words=True)
    name = LOSSES.get(str(tasks.pop()), "loss") if len(tasks) == 1 else "loss"
    return Scale(name, "summed over the batches", sums=True) if protocol.published else Scale(name)


def perplexity(nats: float) -> float:
    """exp(nats); infinite where float64 has no such number."""
    try:
        return math.exp(nats)
    except OverflowError:
        return math.inf


def decimals(estimates: Iterable[Estimate | None], *, least: int = 1) -> int:
    """How many decimals show two digits of a usual interval; without intervals, five digits of a mean."""
    known = [e for e in estimates if e is not None]
    halves = [e.half for e in known if e.half]
    typical, digits = (median(halves), 1) if halves else (median([abs(e.mean) for e in known] or [1.0]), 4)
    return min(max(least, digits - math.floor(math.log10(typical or 1.0))), 8)


def plus_minus(e: Estimate | None, places: int, *, signed: bool = False) -> str:
    """`386.0 ± 0.8`, its spaces not to be broken at; a dash for what is not known, also for an interval."""
    return NOTHING if e is None else f"{number(e.mean, places, signed=signed)}\u00a0±\u00a0{half(e, places)}"


def half(e: Estimate, places: int) -> str:
    """Half an interval's width, never rounded to nothing."""
    if e.half is None:
        return NOTHING
    shown = number(e.half, places)
    return f"{e.half:.1g}" if e.half and float(shown) == 0 else shown


def number(value: float, places: int, *, signed: bool = False) -> str:
    """With a true minus sign, but none for 0; `signed` shows a plus as well; from a million up in powers."""
    value = round(value, places) + 0.0
    form = f".{places}f" if abs(value) < 1e6 else ".2e"
    text = f"{value:+{form}}" if signed else f"{value:{form}}"
    return text.replace("-", "−")


def probability(p: float | None) -> str:
    """Three decimals, as papers write them."""
    if p is None:
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def plain(value: Value) -> str:
    """An option's value as people write it, but never another value."""
    if not isinstance(value, float):
        return str(value)
    short = f"{value:g}"
    return short if float(short) == value else repr(value)
