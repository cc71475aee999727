"""The method of a generated cell class that runs all steps in one operator, and the layer around it."""

from __future__ import annotations

from codegen.loop import Block, Loop
from codegen.plan import Plan
from codegen.writing.cell_class import cell_class
from codegen.writing.interface import Interface
from codegen.writing.layer_class import layer_class, layer_forward_head
from codegen.writing.layout import concatenated, fits, indent, listed
from codegen.writing.operator import Operator
from codegen.writing.phase import BODY, Blocks, PhaseWriter
from derive.symbols import Previous, Quantity, Vector


def unrolled_cell(face: Interface, loop: Loop, operator: Operator) -> list[str]:
    """The cell class with ``unroll``."""
    return [*cell_class(face), "", *indent(_Unroll(face, loop, operator).method())]


def unrolled_layer(face: Interface) -> list[str]:
    """The layer class whose ``forward`` is the operator; ``steps`` and ``trace`` go step by step."""
    x, state = face.input, face.state.argument
    several = len(face.state.names) > 1
    lines = [
        f"if {x}.dim() not in (2, 3) or {x}.shape[0] == 0:",
        f'    raise ValueError(f"{x} is (T, B, m) or (T, m), T > 0, not {{tuple({x}.shape)}}")',
        f"{state} = self.cell.start({x}[0], {state})",
        f"if {x}.dim() == 3:",
        f"    return self.cell.unroll({x}, {state})",
    ]
    one = f"tuple(value.unsqueeze(0) for value in {state})" if several else f"{state}.unsqueeze(0)"
    back = "tuple(value.squeeze(0) for value in last)" if several else "last.squeeze(0)"
    lines += [
        *listed("output, last = self.cell.unroll(", [f"{x}.unsqueeze(1)", one], ")", BODY),
        f"return output.squeeze(1), {back}",
    ]
    return layer_class(face, [*layer_forward_head(face), *indent(lines)])


class _Unroll:
    def __init__(self, face: Interface, loop: Loop, operator: Operator) -> None:
        self.face = face
        self.loop = loop
        self.operator = operator
        self.names = face.names
        self.plan: Plan = face.plan
        self.outside = self._read_outside()
        self.blocks = {block: self._block_name(block) for block in loop.blocks}

    def method(self) -> list[str]:
        face = self.face
        arguments = ["self", f"{face.input}: Tensor", *face.old_state.signature]
        head = listed("def unroll(", arguments, f") -> tuple[Tensor, {face.state.type}]:", 1)
        lines = [*face.old_state.unpacking, *self._before(), *self._call(), *self._after(), self._return()]
        doc = '"""All steps in one operator, from inputs (T, B, m) and a state (B, n)."""'
        return [*head, *indent([doc, *lines])]

    def _read_outside(self) -> set[Quantity]:
        """The vectors that something outside the loop reads by themselves."""
        found: set[Quantity] = {q for phase in (self.loop.before, self.loop.after) for q in phase.free}
        found |= {q for s in self.loop.before for q in s.reads}
        if self.plan.cell.output is not None:
            found.add(self.plan.cell.symbols[self.plan.cell.output])
        return found

    def _is_whole(self, block: Block) -> bool:
        return len(block.sources) > 1 and not self.outside & set(block.sources)

    def _block_name(self, block: Block) -> str:
        if len(block.sources) == 1:
            return self.names[block.sources[0]]
        if not self._is_whole(block):
            return f"torch.cat(({', '.join(self.names[q] for q in block.sources)}), -1)"
        return "projected" if len(self.loop.blocks) == 1 else self.names.fresh("projected")

    def _before(self) -> list[str]:
        whole = {
            tuple(q for q in block.sources if isinstance(q, Vector)): name
            for block, name in self.blocks.items()
            if self._is_whole(block)
        }
        once = PhaseWriter(self.plan, self.names)
        before = PhaseWriter(
            self.plan, self.names, blocks=Blocks(whole), keep={q for b in self.loop.blocks for q in b.sources}
        )
        return [*once.lines(self.plan.once), *before.lines(self.loop.before)]

    def _call(self) -> list[str]:
        lines: list[str] = []
        matrices: list[str] = []
        for product in self.loop.products:
            rows = [self.names[part.matrix] for part in product.parts]
            text = rows[0] if len(rows) == 1 else f"torch.cat(({', '.join(rows)}))"
            if not fits(f"{text},", BODY + 1):
                text = self.names.fresh("stacked")
                lines += concatenated(f"{text} =", rows, BODY)
            matrices.append(text)
        inputs = [
            f"{self.face.input}.shape[0]",
            *self.blocks.values(),
            *self.face.old_state.names,
            *(self.names[source] for source in self.loop.constants.values()),
            *matrices,
        ]
        exports = [self.names[q] for q in self.loop.exports]
        self.lasts = [self.names.fresh(f"last_{self.names[s]}") for s in self.loop.states]
        targets = [*exports, *self.lasts]
        taken = f"({targets[0]},)" if len(targets) == 1 else ", ".join(targets)
        head = f"{taken} = {self.operator.call}("
        if not fits(head, BODY):
            found = self.names.fresh("found")
            call = listed(f"{found} = {self.operator.call}(", inputs, ")", BODY)
            return [*lines, *call, *listed("(", targets, f") = {found}", BODY)]
        return [*lines, *listed(head, inputs, ")", BODY)]

    def _after(self) -> list[str]:
        lines: list[str] = []
        pasts = sorted((q for q in self.loop.after.free if isinstance(q, Previous)), key=lambda q: q.name)
        for past in pasts:
            name, state = self.names[past], self.names[past.state]
            lines.append(f"{name} = torch.cat(({name}.unsqueeze(0), {state}[:-1]))")
        return [*lines, *PhaseWriter(self.plan, self.names).lines(self.loop.after)]

    def _return(self) -> str:
        last = self.lasts[0] if len(self.lasts) == 1 else f"({', '.join(self.lasts)})"
        return f"return {self._output()}, {last}"

    def _output(self) -> str:
        cell, x = self.plan.cell, self.face.input
        if cell.output is None:
            return f"{x}.new_empty(*{x}.shape[:-1], 0)"
        symbol = cell.symbols[cell.output]
        name = self.names[symbol]
        if symbol in self.plan.once.symbols:
            return f"{name}.expand(*{x}.shape[:-1], -1)"
        return name
