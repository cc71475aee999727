"""Krawczyk's test in ball arithmetic: a fixed point exists in a box, is the only one there, and its spectrum.

With G(s) = F(s) - s, C ≈ G'(s₀)⁻¹ and a box X around s₀, K(X) = s₀ - C G(s₀) + (I - C G'(X)) (X - s₀) lies
in the interior of X only if X holds exactly one zero of G, and then that zero is in K(X) (Krawczyk 1969;
Rump, Verification methods, Acta Numerica 19, 2010).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.balls import ball_environment, ball_value, balls, ends, flint
from derive.calculus.blocks import step_jacobian
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.dynamics.spectrum import Spectrum, spectrum

Array = np.ndarray[Any, Any]

RADII = (1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-8, 1e-6, 1e-4)
PRECISION = 128


@dataclass(frozen=True)
class Verified:
    """What is proved near a state: ``proved`` if the box [lower, upper] holds exactly one fixed point.

    Bounds are per state, in ``cell.states`` order.  The spectrum is that of the Jacobian at the fixed point;
    None where none was proved.
    """

    cell: Cell
    proved: bool
    lower: tuple[Array, ...]
    upper: tuple[Array, ...]
    spectrum: Spectrum | None

    @property
    def verdict(self) -> str:
        """``stable`` or ``unstable`` if that is proved of a fixed point in the box, else ``unknown``."""
        return self.spectrum.verdict if self.spectrum is not None else "unknown"

    def __str__(self) -> str:
        if not self.proved:
            return f"{self.cell.name}: unknown: no box around the state passed Krawczyk's test"
        width = max(float(np.max(h - l, initial=0.0)) for l, h in zip(self.lower, self.upper, strict=True))
        return f"{self.cell.name}: exactly one equilibrium in a box of width {width:.1e}; {self.spectrum}"


def verify(cell: Cell | str, params: Mapping[str, Any], inputs: Any, state: Sequence[Any]) -> Verified:
    """Prove a fixed point near ``state`` (a tuple of (n,)) under the input (m,); floats count as exact.

    Boxes of growing radius are tried.  Nothing proved is no refutation: at a kink, at a fold (an eigenvalue
    of 1) or away from a fixed point the test cannot pass.
    """
    subject = catalogued(cell)
    with flint().ctx.workprec(PRECISION):
        centre = tuple(balls(v) for v in state)
        proof = _Proof(subject, params, inputs, centre)
        for radius in RADII:
            found = proof.at(radius)
            if found is not None:
                slope = proof.jacobian(found)
                low, high = zip(*map(ends, found), strict=True)
                return Verified(subject, True, tuple(low), tuple(high), spectrum(slope))
    plain = tuple(np.asarray(v, dtype=np.float64) for v in state)
    return Verified(subject, False, plain, plain, None)


class _Proof:
    """What the tests of all radii share: the centre s₀, G(s₀) and C."""

    def __init__(self, cell: Cell, params: Mapping[str, Any], inputs: Any, centre: tuple[Array, ...]) -> None:
        self.cell, self.params, self.inputs, self.centre = cell, params, inputs, centre
        vectors = ball_environment(cell, params, inputs, centre)
        after = [vectors[cell.symbols[s]].ravel() for s in cell.states]
        self.middle = np.concatenate([v.ravel() for v in centre])
        self.gap = np.concatenate(after) - self.middle
        slope = np.array([[float(b.mid()) for b in row] for row in balls(self.jacobian(centre))])
        self.inverse = balls(np.linalg.pinv(slope - np.eye(len(slope))))

    def jacobian(self, state: tuple[Array, ...]) -> Array:
        """Encloses ∂F/∂s over a box of states."""
        env = ball_environment(self.cell, self.params, self.inputs, state)
        return balls(step_jacobian(self.cell).at(env, ball_value))

    def at(self, radius: float) -> tuple[Array, ...] | None:
        """K(X), if it lies in the interior of the box X of this radius."""
        arb, arb_mat = flint().arb, flint().arb_mat
        size = len(self.middle)
        offset = np.array([arb(0, radius * max(1.0, abs(float(m.mid())))) for m in self.middle], dtype=object)
        whole = self.middle + offset
        slope = self.jacobian(self._shaped(whole)) - balls(np.eye(size))
        C = arb_mat(self.inverse.tolist())
        rest = arb_mat(balls(np.eye(size)).tolist()) - C * arb_mat(slope.tolist())
        shift = rest * arb_mat(size, 1, offset.tolist()) - C * arb_mat(size, 1, self.gap.tolist())
        image = self.middle + np.array(shift.entries(), dtype=object)
        inside = all(box.contains_interior(ball) for box, ball in zip(whole, image, strict=True))
        return self._shaped(image) if inside else None

    def _shaped(self, flat: Array) -> tuple[Array, ...]:
        cuts = np.cumsum([v.size for v in self.centre])[:-1]
        parts = np.split(flat, cuts)
        return tuple(p.reshape(v.shape) for p, v in zip(parts, self.centre, strict=True))
