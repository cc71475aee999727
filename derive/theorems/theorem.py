"""``Theorem``: a published statement, how the engine comes to its own, and the proved relation of the two."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from derive.claim import Claim


@dataclass(frozen=True)
class Comparison:
    """How many of ``samples`` random weight sets the two conditions certify (B-theorems: n = 8).

    ``published`` counts those that the published condition certifies, ``closed`` those that the engine's
    condition in closed form does with the same norms and the same upper ends of gates, ``engine`` those that
    it does unit by unit, from the weights themselves.  ``lost`` counts sets that the published condition
    certifies and one of the engine's does not (0 if the implication holds).  ``seconds`` is what it took.
    """

    samples: int
    published: int
    closed: int
    engine: int
    lost: int
    seconds: float

    def __str__(self) -> str:
        return (
            f"of {self.samples} weight sets the published condition certifies {self.published}, the engine's "
            f"{self.closed} in closed form and {self.engine} unit by unit; {self.lost} of the published ones "
            f"are lost; {self.seconds:.1f} s"
        )


@dataclass(frozen=True)
class Attack:
    """What attacking certified weight sets found.

    ``attacked`` sets were attacked, ``broken`` of them with success; ``worst`` is the largest ratio of what
    was reached to what the certificate allows (at most 1 where none is broken).
    """

    attacked: int
    broken: int
    worst: float
    seconds: float

    def __str__(self) -> str:
        return (
            f"{self.broken} of {self.attacked} certified sets broken, worst ratio {self.worst:.4f}; "
            f"{self.seconds:.1f} s"
        )


@dataclass(frozen=True)
class Theorem:
    """One published result: one file in ``derive/theorems`` with a ``THEOREM``, found by looking there.

    ``name`` is its number ("B5"), ``statement`` the published statement as Unicode mathematics, ``latex``
    the same as LaTeX, ``source`` the citation, with "(recalled)" where it was written from memory;
    ``cells`` the catalogue names of which it speaks; ``assumptions`` are in full.  ``prove`` gives claims:
    each falls out of the equations and carries a certificate or a counterexample.  ``compare(samples, seed)``
    counts what the published and the engine's condition certify; ``attack(sets, seed)`` tries to break weight
    sets that the engine certifies.  Both sample, hence prove nothing, and are not part of ``prove``.
    """

    name: str
    title: str
    statement: str
    latex: str
    source: str
    cells: tuple[str, ...]
    assumptions: tuple[str, ...]
    prove: Callable[[], list[Claim]]
    compare: Callable[[int, int], Comparison] | None = None
    attack: Callable[[int, int], Attack] | None = None

    def __str__(self) -> str:
        assuming = f"  assuming {'; '.join(self.assumptions)}\n" if self.assumptions else ""
        return f"{self.name}: {self.title}\n  {self.statement}\n{assuming}  {self.source}"

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex}$"
