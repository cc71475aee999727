"""What the methods of a generated class hand to each other, and under which names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.plan import Plan, Product
from codegen.writing.layout import concatenated, joined, returned
from codegen.writing.names import Identifiers
from codegen.writing.phase import BODY, Blocks, PhaseWriter, Stacked
from derive.symbols import Previous, Quantity, Vector

LONGEST = 18
"""A run of names beyond this many characters is not worth spelling out."""


@dataclass(frozen=True)
class Bundle:
    """Values that pass together: none, one as it is, several as a tuple under a common name."""

    common: str
    names: tuple[str, ...]

    def __bool__(self) -> bool:
        return bool(self.names)

    @property
    def argument(self) -> str:
        return self.names[0] if len(self.names) == 1 else self.common

    @property
    def type(self) -> str:
        return "Tensor" if len(self.names) == 1 else "Tensors"

    @property
    def signature(self) -> list[str]:
        return [f"{self.argument}: {self.type}"] if self else []

    @property
    def unpacking(self) -> list[str]:
        return [f"{', '.join(self.names)} = {self.common}"] if len(self.names) > 1 else []


class Interface:
    """The names of a generated cell class: its state, and what is computed for its step before the loop."""

    def __init__(self, plan: Plan, class_name: str) -> None:
        self.plan = plan
        self.class_name = class_name
        self.names = Identifiers(plan)
        inputs = plan.cell.inputs
        self.input = self.names[plan.cell.symbols[inputs[0]]] if inputs else self.names.fresh("x")
        self.state = Bundle("state", tuple(self.names[s] for s in plan.states))
        self.old_state = Bundle("state", tuple(self.names[s.prev] for s in plan.states))
        self.blocks = Blocks(dict(self._block_names()))
        self.handed = Bundle("projected", tuple(self.blocks.names.values()))
        self.stacked: dict[Product, Stacked] = {}
        self._prepare_lines: list[str] = []
        self.prepared = Bundle("weights", tuple(self._prepared()))

    def _block_names(self) -> list[tuple[tuple[Vector, ...], str]]:
        targets = {
            p.addends: [part.target.name for part in p.parts] for p in self.plan.step.products if p.addends
        }
        found: list[tuple[tuple[Vector, ...], str]] = []
        for index, block in enumerate(self.plan.handed):
            if len(block) == 1:
                found.append((block, self.names[block[0]]))
            elif len(self.plan.handed) == 1:
                found.append((block, "projected"))
            else:
                run = joined(targets[block])
                found.append(
                    (block, self.names.fresh(f"x_{run}" if len(run) <= LONGEST else f"x_{index + 1}"))
                )
        return found

    def _prepared(self) -> list[str]:
        """Stack what the step's products need, note how, and return the names of the results."""
        writer = PhaseWriter(self.plan, self.names)
        self._prepare_lines += writer.lines(self.plan.once)
        used = self.plan.step.free | set(self.plan.recorded)
        found = [self.names[symbol] for symbol in self.plan.once.symbols if symbol in used]
        for product in self.plan.step.products:
            matrices = [self.names[part.matrix] for part in product.parts]
            biases = [writer.biases(part.biases) for part in product.parts if part.biases]
            weight, bias = self._item(product, matrices, "W", found), ""
            if biases:
                bias = self._item(product, biases, "b", found)
            self.stacked[product] = Stacked(weight, bias)
        return found

    def _item(self, product: Product, rows: Sequence[str], letter: str, found: list[str]) -> str:
        """The name of stacked rows; a lone parameter needs none."""
        if len(rows) == 1 and " " not in rows[0]:
            return rows[0]
        stems = {part.matrix.name.split("_")[0] for part in product.parts}
        stem = stems.pop() if letter == "W" and len(stems) == 1 else letter
        run = joined([part.target.name for part in product.parts])
        label = (
            product.operand.label
            if isinstance(product.operand, Quantity) and product.operand in self._sources
            else run
        )
        name = self.names.fresh(f"{stem}_{label}" if len(label) <= LONGEST else f"{stem}_{len(found) + 1}")
        self._prepare_lines += (
            concatenated(f"{name} =", rows, BODY) if len(rows) > 1 else [f"{name} = {rows[0]}"]
        )
        found.append(name)
        return name

    @property
    def _sources(self) -> set[Quantity]:
        """Vectors whose name is short and known to the reader: the cell's own."""
        return {*self.plan.cell.symbols.values()}

    @property
    def prepare_lines(self) -> list[str]:
        """The body of ``prepare``: statements, then the return."""
        lines = self._prepare_lines
        if len(self.prepared.names) == 1 and lines[-1].startswith(f"{self.prepared.names[0]} = "):
            return [*lines[:-1], f"return {lines[-1].split(' = ', 1)[1]}"]
        return [*lines, *returned(self.prepared.names, BODY)]

    @property
    def fields(self) -> list[tuple[str, str]]:
        """Name and value of every field of a step's record."""
        batch = f"*{self.old_state.names[0]}.shape[:-1]"
        once = set(self.plan.once.symbols)
        found = [
            (name, f"{name}.expand({batch}, -1)" if symbol in once else name)
            for symbol in self.plan.recorded
            for name in [self.names[symbol]]
        ]
        return found + [
            (name, name) for q in self.plan.late_reads if isinstance(q, Previous) for name in [self.names[q]]
        ]

    @property
    def new_state(self) -> str:
        """The state that a step leaves, as text."""
        values = [f"step.{name}" for name in self.state.names]
        return values[0] if len(values) == 1 else f"({', '.join(values)})"
