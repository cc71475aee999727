"""The SMT solvers as two engines: z3 under several tactics, and cvc5; both read the same SMT-LIB text.

A short try for each first, since most questions take hundredths of a second; then all ways at once.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Literal

from derive.decide import engines
from derive.decide.workers import race

Result = Literal["unsat", "sat", "unknown", "missing"]

ENGINES = ("z3", "cvc5")
_ROUNDS: tuple[tuple[tuple[str, ...], float], ...] = (
    (("z3:qfnra-nlsat",), 0.3),  # touching maxima, symbolic norms
    (("z3:smt",), 1.2),  # numeric norms, on which the former sits for long
    (("cvc5",), 0.5),
    (engines.ASKS, float("inf")),
)
_SHARE = 0.3  # of the time that is left, at most, for one short try


@dataclass(frozen=True)
class Verdict:
    """What one engine says about a script."""

    engine: str
    result: Result
    how: str  # the engine with its tactic
    seconds: float
    reason: str = ""
    model: Mapping[str, Sequence[str]] | None = None


def consult(text: str, seconds: float, which: Sequence[str] = ENGINES) -> Generator[Verdict, None, None]:
    """One verdict of every engine in ``which``, each as soon as it is known; within ``seconds`` altogether.

    Who has heard enough closes the generator: that stops the solvers that still run.
    """
    start = time.monotonic()
    reasons: dict[str, dict[str, str]] = {engine: {} for engine in which}  # of the undecided engines
    for ways, limit in _ROUNDS:
        asks = [ask for ask in ways if ask.partition(":")[0] in reasons]
        left = seconds - (time.monotonic() - start)
        left = left if ways == engines.ASKS else min(limit, _SHARE * left)
        if not asks or left <= 0:
            continue
        began = time.monotonic()
        with closing(race(asks, text, left)) as answers:
            decided = None
            while True:
                try:
                    ask, answer = answers.send(decided)
                except StopIteration:
                    break
                decided, engine = None, ask.partition(":")[0]
                if answer["result"] == "unknown":
                    reasons[engine][ask] = answer["reason"]
                elif engine in reasons:
                    decided = engine
                    del reasons[engine]
                    spent, reason = time.monotonic() - began, answer.get("reason", "")
                    yield Verdict(engine, answer["result"], ask, spent, reason, answer.get("model"))
    for engine, why in reasons.items():
        reason = "; ".join(why.values()) or f"{engine}: no time left"
        yield Verdict(engine, "unknown", engine, time.monotonic() - start, reason)
