"""Attacks on bounds: the largest Jacobian norm that gradient ascent finds within what a bound speaks of.

A bound holds for all weights of given norms, all states in a box and all inputs in another.  The attack walks
through all of these at once, from many starts, by Adam on the norm of the Jacobian of the emitted cell
(``torch.func.jacrev``), and projects onto the balls and boxes after every step.  Its best point is replayed
through the symbolic Jacobian in NumPy, so that two independent voices say that the norm is reached:

    attack ≤ bound.evaluate(the weights found) ≤ bound.expr at the norms.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy
import torch
from torch import Tensor, nn

from codegen.building import build
from codegen.errors import CodegenError, UnknownName
from derive.bounds import Bound
from derive.calculus import step_jacobian
from derive.calculus.jacobian import environment
from derive.cell import Cell
from derive.errors import nearest
from derive.symbols import INPUT_AXIS, STATE_AXIS, Input, Previous, Quantity

Array = np.ndarray[Any, Any]

ANY = 10.0
"""How far an input goes that a bound does not limit: gates are shut by then."""
OTHER_AXES = 4
"""The size of axes other than n and m."""
AGREEMENT = 1e-8
"""Largest relative difference between torch and NumPy on the norm that was found."""


@dataclass(frozen=True)
class Attack:
    """The largest norm of a step's Jacobian that was found, and where.

    ``value`` was computed in NumPy, from the sum of words, at ``params`` (of the norms in ``norms``),
    ``inputs`` (m,) and ``state`` (a tuple of (n,) in ``cell.states`` order): :meth:`replay` does it again.
    """

    bound: Bound
    norms: Mapping[str, float]
    params: Mapping[str, Array]
    inputs: Array
    state: tuple[Array, ...]
    value: float
    restarts: int
    seconds: float

    def replay(self) -> float:
        """The norm once more, from the numbers alone."""
        return jacobian_norm(self.bound, self.params, self.inputs, self.state)

    def weighted(self, *, rigorous: bool = False) -> float:
        """The bound for the weights that were found, over the box that the attack kept to.

        Where the bound solved for a state's box in terms of norms, the one solved for from these weights is
        smaller; the attack walked through the larger one, so that is the one that is asked about.
        """
        cell, given = self.bound.cell, self.bound.setting.states
        sizes = _sizes(cell, len(self.state[0]), len(self.inputs))
        solved = {}
        for past in (Previous(s, *cell.axes(s)) for s in cell.states):
            if not self.bound.setting.ranges.box[past].is_number:
                solved[past.label] = _box(self.bound, past, self.norms, sizes)[1]
        states = {**(given if isinstance(given, Mapping) else {}), **solved} if solved else None
        return self.bound.evaluate(self.params, states, rigorous=rigorous)

    def symbolic(self) -> float:
        """The bound for all weights of these norms."""
        sizes = _sizes(self.bound.cell, len(self.state[0]), len(self.inputs))
        return symbolic_value(self.bound, self.norms, sizes)


def attack(
    bound: Bound,
    *,
    norms: float | Mapping[str, float] = 1.0,
    n: int = 4,
    m: int = 2,
    params: Mapping[str, Array] | None = None,
    restarts: int = 100,
    steps: int = 300,
    rate: float = 0.1,
    seed: int = 0,
) -> Attack:
    """Maximize the norm of the step's Jacobian over weights, states and inputs.

    ``norms`` are those of the parameters in the sense of ``bound.norms``: one number, or one by name.  With
    ``params`` given (arrays by name) the weights stay as they are, and states and inputs alone are moved.
    States keep to the box of ``bound``; an input that it does not limit goes up to 10.  ``rate`` is Adam's,
    relative to the size of a ball or box, and falls to 0 over the ``steps``.

    Raises :class:`~codegen.errors.CodegenError` for a state that nothing bounds, and
    :class:`~codegen.errors.UnknownName` for a norm of what is no parameter.

    >>> import derive
    >>> found = attack(derive.bound("vanilla", "inf"), restarts=5, steps=50)
    >>> bool(0.9 < found.value <= 1)
    True
    """
    start = time.perf_counter()
    cell = bound.cell
    if bound.states:
        names = ", ".join(bound.states)
        raise CodegenError(f"{cell.name}: nothing bounds {names}; give bound(…, states={{name: number}})")
    if params is not None:
        n, m = _given_sizes(cell, params, n, m)
    sizes = _sizes(cell, n, m)
    limits = _norms_of(bound, params) if params is not None else _norms_by_name(cell, norms)
    search = _Search(bound, limits, sizes, params, restarts, torch.Generator().manual_seed(seed))
    found, point = search.run(steps, rate)
    value = jacobian_norm(bound, *point)
    if not math.isclose(value, found, rel_tol=AGREEMENT, abs_tol=AGREEMENT):
        raise CodegenError(f"{cell.name}: torch finds a norm of {found}, NumPy {value} at the same point")
    return Attack(bound, limits, *point, value, restarts, time.perf_counter() - start)


def jacobian_norm(
    bound: Bound, params: Mapping[str, Array], inputs: Array, state: tuple[Array, ...]
) -> float:
    """The norm of the Jacobian of all states stacked at one point, in the bound's norm, by NumPy."""
    env = environment(bound.cell, params, inputs, state)
    stacked = np.block([[block.at(env) for block in row] for row in step_jacobian(bound.cell).blocks])
    return float(np.linalg.norm(stacked, 2 if bound.norm == 2 else np.inf))


def symbolic_value(bound: Bound, norms: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    """``bound.expr`` with numbers for the norms and, where a 2-norm needs them, for the sizes of axes."""
    return _number(bound.expr, bound, norms, sizes)


def _number(expr: sympy.Expr, bound: Bound, norms: Mapping[str, float], sizes: Mapping[str, int]) -> float:
    values: dict[sympy.Symbol, sympy.Expr] = {s: _exact(norms[name]) for name, s in bound.norms.items()}
    values |= {sympy.Symbol(axis, positive=True): sympy.Integer(size) for axis, size in sizes.items()}
    return float(bound.setting.put_in(expr).xreplace(values))


def _exact(value: float) -> sympy.Expr:
    return sympy.Rational(*float(value).as_integer_ratio()) if math.isfinite(value) else sympy.oo


# Sizes and norms


def _sizes(cell: Cell, n: int, m: int) -> dict[str, int]:
    axes = dict.fromkeys(axis for q in cell.symbols.values() for axis in q.axes)
    return {axis: {STATE_AXIS: n, INPUT_AXIS: m}.get(axis, OTHER_AXES) for axis in axes}


def _given_sizes(cell: Cell, params: Mapping[str, Array], n: int, m: int) -> tuple[int, int]:
    found = {STATE_AXIS: n, INPUT_AXIS: m}
    for name, axes in cell.parameters.items():
        found |= dict(zip(axes, np.shape(params[name]), strict=True))
    return found[STATE_AXIS], found[INPUT_AXIS]


def _norms_by_name(cell: Cell, norms: float | Mapping[str, float]) -> dict[str, float]:
    if not isinstance(norms, Mapping):
        return dict.fromkeys(cell.parameters, float(norms))
    unknown = [name for name in norms if name not in cell.parameters]
    missing = [name for name in cell.parameters if name not in norms]
    if unknown or missing:
        name = (unknown or missing)[0]
        near = nearest(name, cell.parameters) if unknown else " is missing."
        raise UnknownName(f"{cell.name}: norms: {name!r}{near} Parameters: {', '.join(cell.parameters)}")
    return {name: float(norm) for name, norm in norms.items()}


def _norms_of(bound: Bound, params: Mapping[str, Array]) -> dict[str, float]:
    """The induced norms of matrices, max |bᵢ| of vectors."""
    order = 2 if bound.norm == 2 else np.inf
    arrays = {name: np.asarray(params[name], dtype=np.float64) for name in bound.cell.parameters}
    return {k: float(np.linalg.norm(a, order if a.ndim == 2 else np.inf)) for k, a in arrays.items()}


# The search


class _Step(nn.Module):
    """One step of the emitted cell, unbatched: x (m,) and a tuple of (n,) → the new states."""

    PREFIX = "layer.l0.cell."

    def __init__(self, cell: Cell, sizes: Mapping[str, int]) -> None:
        super().__init__()
        others = {axis: size for axis, size in sizes.items() if axis not in (STATE_AXIS, INPUT_AXIS)}
        self.layer = build(
            cell,
            sizes.get(INPUT_AXIS, 0),
            sizes[STATE_AXIS],
            backend="eager",
            dtype=torch.float64,
            sizes=others or None,
        )

    def forward(self, x: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        past = tuple(v[None] for v in state)  # a layer of one
        _, now = self.layer.step(x, past if len(past) > 1 else past[0])
        return tuple(v[0] for v in now) if isinstance(now, tuple) else (now[0],)


class _Search:
    """All restarts side by side; every tensor has them as its first axis.

    What is moved lives in unit balls and in [-1, 1], whatever the norms and boxes are.
    """

    def __init__(
        self,
        bound: Bound,
        limits: Mapping[str, float],
        sizes: Mapping[str, int],
        params: Mapping[str, Array] | None,
        restarts: int,
        generator: torch.Generator,
    ) -> None:
        cell = bound.cell
        self.bound, self.limits, self.restarts, self.generator = bound, limits, restarts, generator
        self.step = _Step(cell, sizes)
        self.fixed = {
            name: torch.as_tensor(np.asarray(value, dtype=np.float64)).expand(restarts, *np.shape(value))
            for name, value in (params or {}).items()
        }
        self.weights = {
            name: self._start(*(sizes[a] for a in axes))
            for name, axes in cell.parameters.items()
            if name not in self.fixed
        }
        past = [Previous(s, *cell.axes(s)) for s in cell.states]
        inputs = [cell.symbols[x] for x in cell.inputs]
        self.boxes = [_box(bound, q, limits, sizes) for q in (*past, *inputs)]
        self.places = [self._start(*(sizes[a] for a in q.axes)) for q in (*past, *inputs)]
        self._project()

    def _start(self, *shape: int) -> Tensor:
        """Gaussian, of a scale of its own at every restart: from near 0 to the corners of the box."""
        scale = 10 ** (self._drawn(torch.rand, *[1] * len(shape)) * 2 - 1)
        return (self._drawn(torch.randn, *shape) * scale).requires_grad_()

    def _drawn(self, draw: Callable[..., Tensor], *shape: int) -> Tensor:
        return draw(self.restarts, *shape, dtype=torch.float64, generator=self.generator)

    def run(self, steps: int, rate: float) -> tuple[float, tuple[dict[str, Array], Array, tuple[Array, ...]]]:
        """The best norm of all restarts and steps, and its params, input and state."""
        optimizer = torch.optim.Adam([*self.weights.values(), *self.places], rate, maximize=True)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        best, where = -math.inf, None
        for step in range(steps + 1):
            params, inputs, state = self._point()
            norms = self._norms(params, inputs, state)
            top = int(norms.argmax())
            reached = norms[top].item()
            if reached > best:
                best, where = reached, _picked(top, params, inputs, state)
            if step < steps:
                optimizer.zero_grad()
                norms.sum().backward()
                optimizer.step()
                schedule.step()
                self._project()
        if where is None:
            raise CodegenError(f"{self.bound.cell.name}: the norm of the Jacobian is never a number")
        return best, where

    def _point(self) -> tuple[dict[str, Tensor], Tensor, tuple[Tensor, ...]]:
        params = {name: self.limits[name] * unit for name, unit in self.weights.items()} | self.fixed
        places = [
            (low + high) / 2 + (high - low) / 2 * unit
            for (low, high), unit in zip(self.boxes, self.places, strict=True)
        ]
        states = len(self.bound.cell.states)
        inputs = (
            places[states] if len(places) > states else torch.zeros(self.restarts, 0, dtype=torch.float64)
        )
        return params, inputs, tuple(places[:states])

    def _norms(self, params: Mapping[str, Tensor], inputs: Tensor, state: tuple[Tensor, ...]) -> Tensor:
        """(restarts,): the norm of the Jacobian at every point."""

        def blocks(params: dict[str, Tensor], x: Tensor, past: tuple[Tensor, ...]) -> Any:
            named = {f"{_Step.PREFIX}{name}": value for name, value in params.items()}
            call = torch.func.functional_call
            return torch.func.jacrev(lambda s: call(self.step, named, (x, s)))(past)

        rows = torch.func.vmap(blocks)(dict(params), inputs, state)
        stacked = torch.cat([torch.cat(row, dim=-1) for row in rows], dim=-2)
        order = 2 if self.bound.norm == 2 else math.inf
        return torch.as_tensor(torch.linalg.matrix_norm(stacked, ord=order))

    @torch.no_grad()
    def _project(self) -> None:
        for weight in self.weights.values():
            if weight.dim() == 2 or not weight.numel():
                weight.clamp_(-1, 1)
            elif self.bound.norm == 2:
                u, s, vh = torch.linalg.svd(weight, full_matrices=False)
                weight.copy_((u * s.clamp(max=1)[..., None, :]) @ vh)
            else:
                weight.copy_(_l1_projected(weight))
        for place in self.places:
            place.clamp_(-1, 1)


def _box(
    bound: Bound, quantity: Quantity, limits: Mapping[str, float], sizes: Mapping[str, int]
) -> tuple[float, float]:
    found = bound.setting.ranges.box.get(quantity)
    if found is None and isinstance(quantity, Input):
        return -ANY, ANY
    if found is None:
        raise CodegenError(f"{bound.cell.name}: the bound has no box for {quantity.label}")
    low, high = (_number(end, bound, limits, sizes) for end in (found.low, found.high))
    if not (math.isfinite(low) and math.isfinite(high)):
        raise CodegenError(f"{bound.cell.name}: at these norms {quantity.label} lies in [{low}, {high}]")
    return low, high


def _l1_projected(rows: Tensor) -> Tensor:
    """The nearest rows with Σ |w| ≤ 1 (Duchi et al., Efficient projections onto the l1-ball, ICML 2008)."""
    sizes = rows.abs()
    ordered, _ = sizes.sort(dim=-1, descending=True)
    excess = ordered.cumsum(-1) - 1
    counts = torch.arange(1, rows.shape[-1] + 1, dtype=rows.dtype)
    kept = (ordered * counts > excess).sum(-1, keepdim=True).clamp(min=1)
    threshold = (excess.gather(-1, kept - 1) / kept).clamp(min=0)
    return rows.sign() * (sizes - threshold).clamp(min=0)


def _picked(
    index: int, params: Mapping[str, Tensor], inputs: Tensor, state: tuple[Tensor, ...]
) -> tuple[dict[str, Array], Array, tuple[Array, ...]]:
    """One restart's point as NumPy arrays of their own."""

    def taken(values: Tensor) -> Array:
        return values[index].detach().numpy().copy()

    return {k: taken(v) for k, v in params.items()}, taken(inputs), tuple(taken(s) for s in state)
