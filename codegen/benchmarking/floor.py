"""The floor of a cell: the time of its bare matrix products, and of nothing else.

The products are those of the cell's plan (:func:`codegen.lowering.lower`), matrices that act on the same
vector stacked into one product:

* forward: each product of ``before`` and ``after`` once over all T·B rows, each product of ``step`` T times
  over B rows, each of ``once`` over one row;
* backward: for every forward product the product with the transposed matrix (for what is computed from the
  input alone only where the gradient of x is wanted; the gradient of the initial state is counted), and the
  gradient of the matrices as one product over all T·B rows.

Every product writes into an output that was allocated before.  Of two layouts the faster one is measured
first and taken, for each product on its own: the matrices as (out, in), or transposed beforehand into
contiguous (in, out); a gradient of matrices as (out, in) or as (in, out).  No elementwise operation, no copy,
no allocation and no autograd is in it; a call of torch for each product is (two microseconds, which show at
n = 16).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import sympy
import torch
from torch import Tensor

from codegen.benchmarking.setting import Setting, synchronizer
from codegen.plan import Phase, Plan, Product
from derive.counts import size
from derive.symbols import Parameter, Previous, Vector

Role = Literal["forward", "operand gradient", "matrix gradient"]
Call = tuple[Tensor, Tensor, Tensor]
"""``torch.mm(first, second, out=third)``."""

PROBED_STEPS = 64
"""How many steps at most of a long sequence decide on a layout."""
PROBES = 3


@dataclass(frozen=True)
class BareProduct:
    """``times`` products of (rows, inner) with (inner, columns)."""

    phase: str
    role: Role
    times: int
    rows: int
    inner: int
    columns: int

    @property
    def multiply_adds(self) -> int:
        return self.times * self.rows * self.inner * self.columns


@dataclass(frozen=True)
class _Sized:
    """A product of the plan with numbers for its axes."""

    phase: str
    outputs: int
    inputs: int
    times: int
    rows: int
    operand_gradient: bool

    def bare(self, setting: Setting) -> Iterator[BareProduct]:
        yield BareProduct(self.phase, "forward", self.times, self.rows, self.inputs, self.outputs)
        if setting.forward_only:
            return
        if self.operand_gradient:
            shape = (self.times, self.rows, self.outputs, self.inputs)
            yield BareProduct(self.phase, "operand gradient", *shape)
        shape = (1, self.outputs, self.times * self.rows, self.inputs)
        yield BareProduct(self.phase, "matrix gradient", *shape)


def bare_products(plan: Plan, sizes: Mapping[str, int], setting: Setting) -> tuple[BareProduct, ...]:
    """The products of one pass, in the plan's order; ``sizes`` gives the size of every axis."""
    return tuple(bare for sized in _sized(plan, sizes, setting) for bare in sized.bare(setting))


def _sized(plan: Plan, sizes: Mapping[str, int], setting: Setting) -> list[_Sized]:
    runs = {"once": (1, 1), "before": (1, setting.rows), "step": (setting.time, setting.batch)}
    runs["after"] = runs["before"]
    phases = {"once": plan.once, "before": plan.before, "step": plan.step, "after": plan.after}
    trained = _trained(phases.values())
    found = []
    for name, phase in phases.items():
        for product in phase.products:
            outputs = sum(_number(size(part.symbol.axes), sizes) for part in product.parts)
            inputs = _number(size(product.parts[0].matrix.axes[1:]), sizes)
            wanted = setting.input_gradient or _depends_on_parameters(product.operand, trained)
            found.append(_Sized(name, outputs, inputs, *runs[name], operand_gradient=wanted))
    return found


def _trained(phases: Iterable[Phase]) -> set[Vector]:
    """The vectors that a parameter has had a part in, so that their gradient is wanted in any case."""
    found: set[Vector] = set()
    for phase in phases:
        for statement in phase:
            if isinstance(statement, Product) or _depends_on_parameters(statement.expr, found):
                found |= set(statement.symbols)
    return found


def _depends_on_parameters(expr: sympy.Expr, trained: set[Vector]) -> bool:
    return any(isinstance(q, Parameter | Previous) or q in trained for q in expr.free_symbols)


def _number(polynomial: sympy.Expr, sizes: Mapping[str, int]) -> int:
    return int(polynomial.subs({s: sizes[s.name] for s in polynomial.free_symbols}))


class Floor:
    """The bare products of a cell on buffers of their own; calling it runs them all once."""

    def __init__(self, plan: Plan, sizes: Mapping[str, int], setting: Setting) -> None:
        self.products = bare_products(plan, sizes, setting)
        with torch.inference_mode():
            forward: list[list[Call]] = []
            backward: list[list[Call]] = []
            matrices: list[list[Call]] = []
            sized = _sized(plan, sizes, setting)
            for product in sized:
                buffers = _Buffers(product, setting)
                forward.append(_fastest(buffers.forward(), setting.device))
                if not setting.forward_only:
                    wanted = product.operand_gradient
                    backward.append(_fastest(buffers.operand_gradient(), setting.device) if wanted else [])
                    matrices.append(_fastest(buffers.matrix_gradient(), setting.device))
        phases = [product.phase for product in sized]
        # a step's products take turns, as in the loop; backward the steps run from the last to the first
        calls = [call for group in _in_turns(phases, forward) for call in group]
        calls += [call for group in reversed(_in_turns(phases, backward)) for call in group]
        self._calls = calls + [call for group in matrices for call in group]

    @property
    def multiply_adds(self) -> int:
        """Of one pass."""
        return sum(product.multiply_adds for product in self.products)

    def __call__(self) -> None:
        mm = torch.mm
        with torch.inference_mode():
            for first, second, result in self._calls:
                mm(first, second, out=result)


class _Buffers:
    """What one product reads and writes, and its calls in both layouts."""

    def __init__(self, product: _Sized, setting: Setting) -> None:
        dtype, device = setting.dtype, setting.device
        generator = torch.Generator().manual_seed(setting.seed)

        def drawn(*shape: int) -> Tensor:
            return torch.randn(shape, generator=generator).to(device, dtype)

        times, rows = product.times, product.rows
        self.matrix = drawn(product.outputs, product.inputs)
        self.transposed = self.matrix.t().contiguous()
        self.operand = drawn(times, rows, product.inputs)
        self.result = torch.empty(times, rows, product.outputs, dtype=dtype, device=device)
        self.gradient = drawn(times, rows, product.outputs)
        self.operand_result = torch.empty(times, rows, product.inputs, dtype=dtype, device=device)
        self.matrix_result = torch.empty_like(self.matrix)
        self.transposed_result = torch.empty_like(self.transposed)

    def forward(self) -> list[list[Call]]:
        choices = (self.matrix.t(), self.transposed)
        steps = list(zip(self.operand.unbind(), self.result.unbind(), strict=True))
        return [[(x, matrix, y) for x, y in steps] for matrix in choices]

    def operand_gradient(self) -> list[list[Call]]:
        choices = (self.matrix, self.transposed.t())
        steps = list(zip(self.gradient.unbind(), self.operand_result.unbind(), strict=True))
        return [[(dy, matrix, dx) for dy, dx in steps] for matrix in choices]

    def matrix_gradient(self) -> list[list[Call]]:
        gradient, operand = self.gradient.flatten(0, 1), self.operand.flatten(0, 1)
        return [
            [(gradient.t(), operand, self.matrix_result)],
            [(operand.t(), gradient, self.transposed_result)],
        ]


def _fastest(choices: list[list[Call]], device: str) -> list[Call]:
    """The choice with the smallest time; they take turns, after one turn to warm up."""
    wait = synchronizer(device)
    best = [float("inf")] * len(choices)
    for probe in range(PROBES + 1):
        for index, calls in enumerate(choices):
            begin = time.perf_counter()
            for first, second, result in calls[:PROBED_STEPS]:
                torch.mm(first, second, out=result)
            wait()
            if probe:
                best[index] = min(best[index], time.perf_counter() - begin)
    return choices[best.index(min(best))]


def _in_turns(phases: list[str], calls: list[list[Call]]) -> list[list[Call]]:
    """Each phase's calls in groups: one for what runs outside the loop, one for every step inside it."""
    groups: list[list[Call]] = []
    for phase in dict.fromkeys(phases):
        own = [found for found, place in zip(calls, phases, strict=False) if place == phase]
        longest = max((len(found) for found in own), default=0)
        groups += [[found[t] for found in own if t < len(found)] for t in range(longest)]
    return groups
