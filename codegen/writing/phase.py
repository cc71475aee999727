"""A phase's statements as lines of a method's body."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

import sympy

from codegen.plan import Assignment, Phase, Plan, Product
from codegen.writing.layout import concatenated, fits, listed, unpacked
from codegen.writing.names import Identifiers
from codegen.writing.notation import TorchNotation
from derive.show.notation import ATOM, SUM
from derive.symbols import Parameter, Quantity, Vector

BODY = 2
"""The depth of a method's body."""

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
    """Writes one phase: products that are used once stand inside the formula that uses them.

    What is in ``keep`` always gets a name.
    """

    def __init__(
        self,
        plan: Plan,
        names: Identifiers,
        *,
        blocks: Blocks | None = None,
        stacked: Mapping[Product, Stacked] | None = None,
        keep: Set[Quantity] = frozenset(),
    ) -> None:
        self.plan = plan
        self.names = names
        self.blocks = blocks or Blocks()
        self.stacked = stacked or {}
        self.keep = keep
        helpers = [s for phase in (plan.once, plan.before, plan.step, plan.after) for s in phase.symbols]
        self.notation = TorchNotation(dict.fromkeys([*plan.cell.equations, *helpers]), names)
        self._inlined: dict[Quantity, Product] = {}

    def lines(self, phase: Phase) -> list[str]:
        """The statements in order, not indented."""
        inlinable = self._used_once(phase)
        lines: list[str] = []
        for statement in phase:
            if isinstance(statement, Assignment):
                lines += self._assignment(statement)
            elif statement.symbols[0] in inlinable:
                self._inlined[statement.symbols[0]] = statement
                self.notation.inlined[statement.symbols[0]] = self._product(statement)[1:]
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
        kept |= self.keep
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
        for symbol in sorted(expr.atoms(Quantity) & self._inlined.keys(), key=lambda q: q.name):
            product = self._inlined.pop(symbol)
            del self.notation.inlined[symbol]
            yield from self._written_out(product)

    def _split(self, target: str, expr: sympy.Expr, stem: str = "") -> list[str]:
        """``target = expr``, with the longest pieces of expr named first until the line is short enough."""
        stem = stem or target
        lines: list[str] = []
        while not fits(f"{target} = {self.notation(expr)}", BODY):
            pieces = [node for node in _pieces(expr) if len(self.notation(node)) > len(target) + 2]
            if not pieces:
                break
            piece = max(pieces, key=lambda node: (len(self.notation(node)), str(node)))
            symbol = Vector(self.names.fresh(f"{stem}_part"))
            lines += self._split(symbol.name, piece, stem)
            self.notation.inlined[symbol] = symbol.name, ATOM
            expr = expr.xreplace({piece: symbol})
        return [*lines, f"{target} = {self.notation(expr)}"]

    def _product(self, product: Product, operand: str = "") -> tuple[list[str], str, int]:
        """Lines that stack the matrices where nobody has, the product's text, and how strongly it binds."""
        before, stacked = ([], self.stacked[product]) if product in self.stacked else self._stack(product)
        operands = [
            operand or self.notation(product.operand),
            stacked.weight,
            *([stacked.bias] if stacked.bias else []),
        ]
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
        """The product as a statement; a long operand is named in a line before it."""
        name = self.names[product.symbols[0]]
        lines, text, level = self._product(product)
        if not fits(f"{name} = {text}", BODY):
            named = list(self._write_out_inlined(product.operand))
            lines, text, level = self._product(product)
            if not fits(f"{name} = {text}", BODY) and product.operand.args:
                operand = self.names.fresh(f"{name}_part")
                named += self._split(operand, product.operand, name)
                lines, text, level = self._product(product, operand)
            lines = [*named, *lines]
        blocks = self.blocks.of(product)
        names = [self.blocks.names.get(block) or self.names[block[0]] for block in blocks]
        if len(blocks) == 1:
            return [*lines, f"{names[0]} = {text}"]
        before, cut = self.cut(blocks, text, level)
        direct = unpacked(names, cut, BODY)
        if len(direct) == 1:
            return [*lines, *before, *direct]
        fresh = self.names.fresh("sums")
        before, cut = self.cut(blocks, fresh, ATOM)
        return [*lines, f"{fresh} = {text}", *before, *unpacked(names, cut, BODY)]

    def cut(self, blocks: Sequence[Block], text: str, level: int) -> tuple[list[str], str]:
        """A line with the sizes if they differ, and the call that cuts a product into blocks."""
        sizes = [" + ".join(self._size(block)) for block in blocks]
        if len(set(sizes)) == 1:
            return [], f"{f'({text})' if level < ATOM else text}.chunk({len(sizes)}, -1)"
        return listed("sizes = [", sizes, "]", BODY), f"torch.split({text}, sizes, -1)"

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
