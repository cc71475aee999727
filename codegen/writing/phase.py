"""A phase's statements as lines of a method's body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import sympy

from codegen.plan import Assignment, Phase, Plan, Product
from codegen.writing.layout import concatenated, fits, unpacked
from codegen.writing.names import Identifiers
from codegen.writing.notation import TorchNotation
from derive.show.notation import ATOM, SUM
from derive.symbols import Parameter, Quantity, Vector

BODY = 2
"""The depth of a method's body."""

LONGEST_OPERAND = 36
"""A vector whose formula is longer than this gets a line of its own before the product that it goes into."""

Block = tuple[Quantity, ...]


@dataclass(frozen=True)
class Blocks:
    """The names of what is handed over in blocks: consecutive parts of one product that stay together."""

    names: Mapping[Block, str] = field(default_factory=dict)

    def of(self, product: Product) -> list[Block]:
        """A product's parts as blocks; a part that belongs to none is one of its own."""
        member = {symbol: block for block in self.names for symbol in block}
        return list(dict.fromkeys(member.get(symbol, (symbol,)) for symbol in product.symbols))


@dataclass(frozen=True)
class Stacked:
    """Where a product's matrices and biases lie, stacked, if another method has stacked them."""

    weight: str
    bias: str = ""


class PhaseWriter:
    """Writes one phase: products that are used once stand inside the formula that uses them."""

    def __init__(
        self,
        plan: Plan,
        names: Identifiers,
        *,
        blocks: Blocks | None = None,
        stacked: Mapping[Product, Stacked] | None = None,
    ) -> None:
        self.plan = plan
        self.names = names
        self.blocks = blocks or Blocks()
        self.stacked = stacked or {}
        helpers = [s for phase in (plan.once, plan.before, plan.step, plan.after) for s in phase.symbols]
        self.notation = TorchNotation(dict.fromkeys([*plan.cell.equations, *helpers]), names)

    def lines(self, phase: Phase) -> list[str]:
        """The statements in order, not indented."""
        inlinable = self._used_once(phase)
        lines: list[str] = []
        for statement in phase:
            if isinstance(statement, Assignment):
                lines += self._assignment(statement)
            elif statement.symbols[0] in inlinable:
                before, text, level = self._product(statement)
                lines += before
                self.notation.inlined[statement.symbols[0]] = text, level
            else:
                lines += self._written_out(statement)
        return lines

    def value(self, product: Product) -> tuple[list[str], str]:
        """Lines that prepare a product, and its text, for a method that returns it as it is."""
        before, text, _ = self._product(product)
        return before, text

    def _used_once(self, phase: Phase) -> set[Vector]:
        """The one-part products that a single place in the phase reads, and nothing outside."""
        kept = {*self.plan.cell.equations, *(symbol for block in self.plan.handed for symbol in block)}
        places = [
            node
            for statement in phase
            for formula in [statement.expr if isinstance(statement, Assignment) else statement.operand]
            for node in sympy.preorder_traversal(formula)
        ]
        single = [p.symbols[0] for p in phase.products if len(p.parts) == 1 and p.symbols[0] not in kept]
        return {symbol for symbol in single if places.count(symbol) == 1}

    def _assignment(self, statement: Assignment) -> list[str]:
        target = self.names[statement.symbol]
        line = f"{target} = {self.notation(statement.expr)}"
        if fits(line, BODY):
            return [line]
        return [*self._write_out_inlined(statement.expr), *self._split(target, statement.expr)]

    def _write_out_inlined(self, expr: sympy.Expr) -> Iterator[str]:
        """Give the products inside a formula a line of their own after all."""
        for symbol in sorted(expr.atoms(Quantity) & self.notation.inlined.keys(), key=lambda q: q.name):
            text, _ = self.notation.inlined.pop(symbol)
            yield f"{self.names[symbol]} = {text}"

    def _split(self, target: str, expr: sympy.Expr) -> list[str]:
        """``target = expr``, with the longest pieces of expr named first until the line is short enough."""
        lines: list[str] = []
        while not fits(f"{target} = {self.notation(expr)}", BODY):
            pieces = [node for node in _pieces(expr) if len(self.notation(node)) > len(target) + 2]
            if not pieces:
                break
            piece = max(pieces, key=lambda node: (len(self.notation(node)), str(node)))
            symbol = Vector(self.names.fresh(f"{target.removesuffix('_part')}_part"))
            lines += self._split(symbol.name, piece)
            self.notation.inlined[symbol] = symbol.name, ATOM
            expr = expr.xreplace({piece: symbol})
        return [*lines, f"{target} = {self.notation(expr)}"]

    def _product(self, product: Product) -> tuple[list[str], str, int]:
        """Lines that stack the matrices where nobody has, the product's text, and how strongly it binds."""
        before, stacked = ([], self.stacked[product]) if product in self.stacked else self._stack(product)
        operand = self.notation(product.operand)
        if len(operand) > LONGEST_OPERAND:
            name = self.names.fresh(f"{self.names[product.symbols[0]]}_part")
            before = [*before, *self._write_out_inlined(product.operand), *self._split(name, product.operand)]
            operand = name
        operands = [operand, stacked.weight, *([stacked.bias] if stacked.bias else [])]
        text = f"F.linear({', '.join(operands)})"
        if not product.addends:
            return before, text, ATOM
        block = product.addends
        addend = self.blocks.names.get(block) or self.names[block[0]]
        return before, f"{text} + {addend}", SUM

    def _stack(self, product: Product) -> tuple[list[str], Stacked]:
        matrices = [self.names[part.matrix] for part in product.parts]
        biases = [self.biases(part.biases) for part in product.parts if part.biases]
        if len(matrices) == 1:
            return [], Stacked(matrices[0], *biases)
        lines = concatenated("weight =", matrices, BODY)
        if biases:
            lines += concatenated("bias =", biases, BODY)
        return lines, Stacked("weight", "bias" if biases else "")

    def biases(self, biases: Sequence[Parameter]) -> str:
        """The sum of biases that go to the same part."""
        return " + ".join(self.names[b] for b in biases)

    def _written_out(self, product: Product) -> list[str]:
        lines, text, level = self._product(product)
        blocks = self.blocks.of(product)
        names = [self.blocks.names.get(block) or self.names[block[0]] for block in blocks]
        if len(blocks) == 1:
            return [*lines, f"{names[0]} = {text}"]
        cut = self.cut(blocks)
        whole = f"{f'({text})' if level < ATOM else text}{cut}"
        direct = unpacked(names, whole, BODY)
        if len(direct) == 1:
            return [*lines, *direct]
        fresh = self.names.fresh("sums")
        return [*lines, f"{fresh} = {text}", *unpacked(names, f"{fresh}{cut}", BODY)]

    def cut(self, blocks: Sequence[Block]) -> str:
        """The call that cuts a product into blocks."""
        sizes = [" + ".join(self._size(block)) for block in blocks]
        if len(set(sizes)) == 1:
            return f".chunk({len(sizes)}, -1)"
        return f".split(({', '.join(sizes)}), -1)"

    def _size(self, block: Block) -> Iterator[str]:
        axes = [symbol.axes[0] for symbol in block]
        for axis in dict.fromkeys(axes):
            count = axes.count(axis)
            yield f"{count} * {size_of(axis)}" if count > 1 else size_of(axis)


def size_of(axis: str) -> str:
    """The attribute with the size of an axis."""
    return f"self.{size_name(axis)}"


def size_name(axis: str) -> str:
    """The constructor's argument for the size of an axis."""
    return {"n": "hidden_size", "m": "input_size"}.get(axis, f"{axis}_size")


def _pieces(expr: sympy.Expr) -> list[sympy.Expr]:
    """The parts of a formula that could get a line of their own, outermost first."""
    inner = [arg for arg in expr.args if isinstance(arg, sympy.Expr)]
    if len(inner) == 1 or (inner and not any(arg.args for arg in inner)):
        return [node for arg in inner for node in _pieces(arg)]
    found = [arg for arg in inner if arg.args]
    if len(inner) > 1 and len(found) <= 1:
        return found or [node for arg in inner for node in _pieces(arg)]
    return found
