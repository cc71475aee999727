"""The naive loop: what one writes first.  One Python loop over the steps, one line of torch an equation.

Every matrix is a product of its own at every step, those of the input too; nothing is hoisted out of the loop
and nothing is fused.  A subexpression that several equations share is computed once a step, as one would
write it by hand.  The loop is written from the equations of any cell, so that it is also what
``torch.jit.script`` and ``torch.compile`` are given.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from torch import Tensor, nn

from codegen.generated import lowered
from codegen.load import load
from codegen.lowering.levels import spread_means
from codegen.lowering.products import Grouped
from codegen.lowering.schedule import schedule
from codegen.plan import Assignment
from codegen.writing.names import Identifiers
from codegen.writing.notation import TorchNotation
from derive.cell import Cell
from derive.show.notation import ATOM
from derive.symbols import Input, Linear, MeanMap, Previous, Quantity, Vector

CLASS = "NaiveLoop"


class _PerGate(TorchNotation):
    """A matrix product is a call of its own, where it stands."""

    def linear(self, expr: Linear) -> tuple[str, int]:
        if isinstance(expr.map, MeanMap):
            return super().linear(expr)
        return f"F.linear({self(expr.vector)}, {self.names[expr.map]})", ATOM


@lru_cache(maxsize=64)
def naive_source(cell: Cell) -> str:
    """A module whose ``forward(sequence, *states)`` gives the outputs (T, B, n) and the last states.

    Its parameters are attributes with the equations' names, which whoever makes it has to set.
    """
    plan = lowered(cell)
    names = Identifiers(plan)
    equations = {symbol: spread_means(expr) for symbol, expr in cell.equations.items()}
    phase = schedule(Grouped((), tuple(equations.items())), names.names)
    spelt: dict[Quantity, str] = dict(names) | {s: s.name for s in phase.symbols if s not in names}
    notation = _PerGate(dict.fromkeys([*cell.equations, *phase.symbols]), spelt)

    entering = [spelt[q] for q in cell.symbols.values() if isinstance(q, Input)] or [names.fresh("x")]
    states = [spelt[state.prev] for state in plan.states]
    batch = names.fresh("batch")
    body = [f"{batch} = {entering[0]}.size(0)"]
    fixed: set[Vector] = set()  # what reads parameters alone has no batch axis of its own
    for statement in phase:
        assert isinstance(statement, Assignment)
        text = notation(statement.expr)
        if all(
            not isinstance(q, Input | Previous) and (q in fixed or not isinstance(q, Vector))
            for q in statement.reads
        ):
            fixed.add(statement.symbol)
            text = f"({text}).expand({batch}, -1)"
        body.append(f"{spelt[statement.symbol]} = {text}")
    shown = spelt[cell.symbols[cell.output]] if cell.output else f"{entering[0]}.new_zeros({batch}, 0)"
    body.append(f"return {', '.join([shown, *(spelt[state] for state in plan.states)])}")
    olds = [f"state_{k}" for k in range(len(states))]
    return "\n".join(
        [
            "import torch",
            "from torch import Tensor, nn",
            "from torch.nn import functional as F",
            "",
            "",
            f"class {CLASS}(nn.Module):",
            f"    def step(self, {', '.join(f'{name}: Tensor' for name in [entering[0], *states])}):",
            *(f"        {line}" for line in body),
            "",
            f"    def forward(self, sequence: Tensor, {', '.join(f'{name}: Tensor' for name in olds)}):",
            "        outputs = []",
            "        for t in range(sequence.size(0)):",
            f"            output, {', '.join(olds)} = self.step(sequence[t], {', '.join(olds)})",
            "            outputs.append(output)",
            f"        return torch.stack(outputs), {', '.join(olds)}",
            "",
        ]
    )


def naive_loop(cell: Cell, parameters: Mapping[str, Tensor]) -> nn.Module:
    """The naive loop of a cell, with copies of the parameters given by the equations' names.

    ``module(x, *states)``: x (T, B, m), each state (B, n) in ``cell.states`` order → outputs (T, B, n), or
    (T, B, 0) for a cell without output, and each last state.
    """
    module: nn.Module = getattr(load(naive_source(cell), f"{cell.name}_naive"), CLASS)()
    for name in cell.parameters:
        module.register_parameter(name, nn.Parameter(parameters[name].detach().clone()))
    return module


def zero_states(cell: Cell, x: Tensor, sizes: Mapping[str, int]) -> tuple[Tensor, ...]:
    """Zeros for every state, (B, n) each, like x (T, B, m)."""
    return tuple(x.new_zeros(x.shape[1], sizes[cell.axes(state)[0]]) for state in cell.states)
