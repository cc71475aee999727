"""A linear, diagonal loop for all steps at once: elementwise formulas on whole arrays, around a scan.

What no state enters is computed first; then the states, by a chunked scan; then what reads the states.  The
way back is the same in the carried gradients.  A scan multiplies and adds and does nothing else: the sum of
logarithms in which it is often written (s = a (s_0 + Σ b / a) with a the product of the decays so far) loses
its digits where the sums are large: after 4,096 steps with logistic decays gradients in float32 are wrong by
6e-3 of their size (a test measures it), while this one rounds as the loop does.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import sympy

from codegen.errors import Unsupported
from codegen.loop import Loop, LoopStatement, Mean, axis_of
from codegen.plan import Assignment
from codegen.scan.recurrence import Recurrence
from codegen.scan.tools import tools
from codegen.writing.layout import indent, listed, returned, unpacked
from codegen.writing.loop_names import LoopNames, Texts, splits
from codegen.writing.operator import Kernels
from codegen.writing.widths import Width, together, widths
from derive.symbols import Quantity

Kept = Sequence[Sequence[Quantity]]
"""The values kept for the way back, those of one tensor together."""


def scan_kernels(loop: Loop, stem: str, kept: Kept | None = None) -> Kernels:
    """The kernels of a loop as lines of a module that imports torch alone.

    ``kept`` says which kept values lie side by side in one tensor; None for one each.  Raises
    :class:`~codegen.errors.Unsupported` where a step is not linear in the states, unit by unit.
    """
    if loop.products:
        operand = loop.products[0].operand.name
        raise Unsupported(f"a matrix is applied to {operand} within the recurrence")
    names = LoopNames(loop)
    together_ = [(q,) for q in loop.kept] if kept is None else kept
    functions = {wish: names.fresh(wish) for wish in ("scan", "advance", "compose", "chunk_steps", "widened")}
    forward = Recurrence(loop.forward, {s.prev: s for s in loop.states})
    backward = Recurrence(
        (*loop.backward.recomputed, *loop.backward.statements),
        {loop.backward.carried[s]: loop.backward.of_previous[s] for s in loop.states},
    )
    bodies = [
        _Forward(loop, names, forward, functions, together_).lines(f"{stem}_scan"),
        _Backward(loop, names, backward, functions, together_).lines(f"{stem}_scan_backward"),
    ]
    coupled = any(len(group) > 1 for r in (forward, backward) for group in r.groups if r.is_scanned(group))
    pieces = [tools(functions, coupled), *bodies]
    lines = [line for piece in pieces for line in [*piece, "", ""]][:-2]
    return Kernels(f"{stem}_scan", f"{stem}_scan_backward", tuple(lines))


class _Direction:
    """What both directions share."""

    def __init__(
        self,
        loop: Loop,
        names: LoopNames,
        recurrence: Recurrence,
        functions: Mapping[str, str],
        kept: Kept,
    ) -> None:
        self.loop = loop
        self.kept = kept
        self.names = names
        self.recurrence = recurrence
        self.functions = functions
        self.texts = Texts(names)
        self.width = dict(widths(loop))
        self.like = names.of[loop.states[0]]
        self.axes: set[str] = set()
        self.of = dict(names.of)
        """The name of each quantity's values at all steps; those of a state's own name are its first."""
        self.reads = self._reads()

    def _reads(self) -> set[Quantity]:
        raise NotImplementedError

    def spell(self, of: Mapping[Quantity, str]) -> None:
        """Let quantities have other names."""
        self.of.update(of)
        self.texts.put(of)

    def cut(self) -> list[str]:
        """The vectors that lie side by side in the blocks, those that are read."""
        lines: list[str] = []
        for block in self.loop.blocks:
            if len(block.symbols) > 1 and self.reads & set(block.symbols):
                axes = {axis_of(q) for q in block.symbols}
                self.axes |= axes if len(axes) > 1 else set()
                whole, targets = self.names.blocks[block], [self.of[q] for q in block.symbols]
                lines += unpacked(targets, splits(self.names, block.symbols, whole, _plain(axes)), 1)
        return lines

    def head(self, body: Iterable[str]) -> list[str]:
        """The sizes that the other lines use."""
        blocks, sizes = list(self.names.blocks.values()), self.names.sizes()
        known = {"steps": f"{blocks[0]}.shape[0]"} if blocks else {}
        known |= {"batch": f"{self.like}.shape[0]"}
        known |= {axis: sizes[axis] for axis in sizes if axis in self.axes}
        text = "\n".join(body)
        return [f"{name} = {value}" for name, value in known.items() if re.search(rf"\b{name}\b", text)]

    def statements(self, statements: Iterable[LoopStatement]) -> list[str]:
        return [line for statement in statements for line in self.statement(statement)]

    def statement(self, statement: LoopStatement) -> list[str]:
        if isinstance(statement, Mean):
            width = together(self.width.get(q, Width.FULL) for q in statement.reads)
            text = self.texts(statement.expr, 4)
            if width is not Width.FULL:
                text = self.whole(text, width, axis_of(statement.symbol))
            return [f"{self.of[statement.symbol]} = {text}.mean(-1, keepdim=True)"]
        if not isinstance(statement, Assignment):
            raise Unsupported(f"{statement.symbols} come of a matrix product within the recurrence")
        return [f"{self.of[statement.symbol]} = {self.texts(statement.expr)}"]

    def whole(self, text: str, width: Width, axis: str) -> str:
        """A value of less than the full width, at every step, row and unit."""
        self.axes.add(axis)
        if width is Width.FULL:
            return text
        if width is Width.NUMBER:
            return f"{self.like}.new_full((steps, batch, {axis}), {text})"
        return (
            f"({text}).expand(steps, batch, {axis})"
            if " " in text
            else f"{text}.expand(steps, batch, {axis})"
        )

    def formula(self, expr: sympy.Expr, axis: str) -> str:
        """A formula at every step, row and unit."""
        width = together(self.width.get(q, Width.FULL) for q in expr.atoms(Quantity))
        return self.texts(expr) if width is Width.FULL else self.whole(self.texts(expr), width, axis)

    def solve(self, pasts: set[Quantity], first: Mapping[Quantity, str], *, reverse: bool) -> list[str]:
        """What each step leaves, at all steps; and for ``pasts`` what each step finds."""
        lines: list[str] = []
        read = set(pasts)
        for group in self.recurrence.groups:
            read |= {q for p in group for q in self.recurrence.moved[p].coefficients if q not in group}
        early = {symbol for s in self.recurrence.early for symbol in s.symbols}
        for group in self.recurrence.groups:
            if self.recurrence.is_scanned(group):
                lines += self._scanned(group, first, reverse=reverse)
            else:
                (past,) = group
                new, axis = self.recurrence.pairs[past], axis_of(past)
                if new not in early:
                    lines.append(f"{self.of[new]} = {self.formula(self._addend(group, past), axis)}")
                elif past in read or not reverse:
                    lines += self._made_whole(new)
            for past in group:
                if past in read:
                    lines += self._found(past, first[past], reverse=reverse)
        return lines

    def _made_whole(self, new: Quantity) -> list[str]:
        width = self.width.get(new, Width.FULL)
        if width is Width.FULL:
            return []
        self.width[new] = Width.FULL
        return [f"{self.of[new]} = {self.whole(self.of[new], width, axis_of(new))}"]

    def _found(self, past: Quantity, first: str, *, reverse: bool) -> list[str]:
        new = self.of[self.recurrence.pairs[past]]
        parts = (f"{new}[1:], {first}.unsqueeze(0)", f"{first}.unsqueeze(0), {new}[:-1]")
        return [f"{self.of[past]} = torch.cat(({parts[0 if reverse else 1]}))"]

    def _addend(self, group: Sequence[Quantity], past: Quantity) -> sympy.Expr:
        """What enters a state besides its group."""
        moved = self.recurrence.moved[past]
        others = [c * q for q, c in moved.coefficients.items() if q not in group]
        return sympy.Add(moved.addend, *others)

    def _scanned(
        self, group: Sequence[Quantity], first: Mapping[Quantity, str], *, reverse: bool
    ) -> list[str]:
        function, flag = self.functions["scan"], ["reverse=True"] if reverse else []
        news = [self.of[self.recurrence.pairs[past]] for past in group]
        addends = [self.formula(self._addend(group, past), axis_of(past)) for past in group]
        rows = []
        for past in group:
            coefficients = self.recurrence.moved[past].coefficients
            entries = (coefficients.get(q, sympy.S.Zero) for q in group)
            rows.append([self.formula(entry, axis_of(past)) for entry in entries])
        for past in group:
            self.width[self.recurrence.pairs[past]] = Width.FULL
        if len(group) == 1:
            return listed(
                f"{news[0]} = {function}(", [rows[0][0], addends[0], first[group[0]], *flag], ")", 1
            )
        decay = self.names.fresh("decay")
        lines = [f"{decay} = torch.stack(", "    ("]
        for row in rows:
            lines += indent(listed("torch.stack((", row, "), 1),", 3), 2)
        lines += ["    ),", "    1,", ")"]
        stacked = [
            f"torch.stack(({', '.join(addends)}), 1)",
            f"torch.stack(({', '.join(first[q] for q in group)}))",
        ]
        call = listed(f"{function}(", [decay, *stacked, *flag], ").unbind(1)", 1)
        return [*lines, f"{', '.join(news)} = {call[0]}", *call[1:]]


class _Forward(_Direction):
    def _reads(self) -> set[Quantity]:
        return {q for s in self.loop.forward for q in s.reads}

    def lines(self, function: str) -> list[str]:
        names, loop = self.names, self.loop
        self.spell({s: f"all_{self.of[s]}" for s in loop.states})
        late = list(self.recurrence.needed(set(loop.stored)))
        pasts = {s.prev for s in loop.states} & {q for s in late for q in s.reads}
        body = [
            *self.statements(self.recurrence.early),
            *self.solve(pasts, {s.prev: names.of[s] for s in loop.states}, reverse=False),
            *self.statements(late),
        ]
        exports = [self._stored(q) for q in loop.exports]
        lasts = [f"{self.of[s]}[-1].clone()" for s in loop.states]
        results = [*exports, *lasts]
        tail = listed("results = (", results, ")" if len(results) > 1 else ",)", 1)
        if loop.kept:
            kept = [self._side_by_side(symbols) for symbols in self.kept]
            tail += ["if not keep:", "    return results", *listed("return (", ["*results", *kept], ")", 1)]
        else:
            tail.append("return results")
        arguments = ["keep: bool", *(["steps: int"] if not loop.blocks else [])]
        arguments += [f"{name}: Tensor" for name in names.inputs]
        cut = self.cut()
        doc = '"""All steps at once, as the recurrence is linear in the states, unit by unit."""'
        contiguous = [f"{name} = {name}.contiguous()" for name in names.blocks.values()]
        return [
            f"@{self.functions['widened']}",
            *listed(f"def {function}(", arguments, ") -> Tensors:", 0),
            *indent([doc, *contiguous, *self.head([*cut, *body, *tail]), *cut, *body, *tail]),
        ]

    def _side_by_side(self, symbols: Sequence[Quantity]) -> str:
        if len(symbols) == 1:
            return self._stored(symbols[0])
        texts = [self.of[q] if q in self.loop.means else self.formula(q, axis_of(q)) for q in symbols]
        return f"torch.cat(({', '.join(texts)}), -1)"

    def _stored(self, quantity: Quantity) -> str:
        """A value as a tensor of its own, in memory as the operator promises it."""
        text, width = self.of[quantity], self.width.get(quantity, Width.FULL)
        if quantity in self.loop.means:
            return text
        if width is not Width.FULL:
            return f"{self.whole(text, width, axis_of(quantity))}.contiguous()"
        binding = next(s for s in self.loop.forward if quantity in s.symbols)
        alias = isinstance(binding, Assignment) and isinstance(binding.expr, Quantity)
        coupled = any(
            len(group) > 1 and quantity in {self.recurrence.pairs[p] for p in group}
            for group in self.recurrence.groups
        )
        if coupled:
            return f"{text}.clone(memory_format=torch.contiguous_format)"
        return f"{text}.clone()" if alias else text


class _Backward(_Direction):
    def _reads(self) -> set[Quantity]:
        backward = self.loop.backward
        found = {q for s in (*backward.recomputed, *backward.statements) for q in s.reads}
        return found | {q for expr in backward.sums.values() for q in expr.atoms(Quantity)}

    def lines(self, function: str) -> list[str]:
        names, loop, backward = self.names, self.loop, self.loop.backward
        self.spell({q: f"all_{self.of[q]}" for q in loop.states})
        arriving = [names.of[q] for q in backward.arriving.values()]
        first = {q: names.of[q] for q in backward.carried.values()}
        wholes = [self.of[q[0]] if len(q) == 1 else names.fresh("kept_values") for q in self.kept]
        stored = [*(self.of[q] for q in loop.exports), *wholes]
        tensors = [*arriving, *first.values(), *names.inputs, *stored]
        self.spell({q: names.fresh(f"all_{names.of[q]}") for q in backward.carried.values()})
        sums = {q for expr in backward.sums.values() for q in expr.atoms(Quantity)}
        late = list(self.recurrence.needed({*backward.of_blocks.values(), *sums}))
        wanted = {*backward.of_blocks.values(), *sums, *(q for s in late for q in s.reads)}
        body = [
            *self._apart(wholes),
            *self._past(),
            *self.statements(self.recurrence.early),
            *self.solve(wanted & set(backward.carried.values()), first, reverse=True),
            *self.statements(late),
        ]
        results = [self._of_block(block.symbols) for block in loop.blocks]
        results += [self._first(backward.of_previous[s]) for s in loop.states]
        results += [self._sum(constant, expr) for constant, expr in backward.sums.items()]
        tail = returned(results, 1) if len(results) > 1 else [f"return ({results[0]},)"]
        steps = [] if loop.blocks else ["steps: int"]
        arguments = ["need: Sequence[bool]", *steps, *(f"{name}: Tensor" for name in tensors)]
        cut = self.cut()
        doc = '"""The derived adjoint, all steps at once: it is linear in the carried gradients."""'
        return [
            f"@{self.functions['widened']}",
            *listed(f"def {function}(", arguments, ") -> Tensors:", 0),
            *indent([doc, *self.head([*cut, *body, *tail]), *cut, *body, *tail]),
        ]

    def _apart(self, wholes: Sequence[str]) -> list[str]:
        """The kept values that lie side by side."""
        lines: list[str] = []
        for symbols, whole in zip(self.kept, wholes, strict=True):
            if len(symbols) == 1:
                continue
            axes = {axis_of(q) for q in symbols}
            self.axes |= axes if len(axes) > 1 else set()
            means = symbols[0] in self.loop.means
            text = f"{whole}.chunk({len(symbols)}, -1)"
            text = text if means else splits(self.names, symbols, whole, _plain(axes))
            lines += unpacked([self.of[q] for q in symbols], text, 1)
        return lines

    def _past(self) -> list[str]:
        """The states that each step found."""
        return [
            f"{self.of[s.prev]} = torch.cat(({self.names.of[s]}.unsqueeze(0), {self.of[s]}[:-1]))"
            for s in self.loop.states
            if s.prev in self.reads
        ]

    def _of_block(self, symbols: Sequence[Quantity]) -> str:
        gradients = [self.formula(self.loop.backward.of_blocks[q], axis_of(q)) for q in symbols]
        if len(gradients) > 1:
            return f"torch.cat(({', '.join(gradients)}), -1)"
        # a result may be neither an argument nor another result
        return f"{gradients[0]}.clone()"

    def _first(self, gradient: Quantity) -> str:
        if self.width.get(gradient, Width.FULL) is not Width.FULL:
            return f"{self.formula(gradient, axis_of(gradient))}[0].clone()"
        return f"{self.of[gradient]}[0].clone()"

    def _sum(self, constant: Quantity, expr: sympy.Expr) -> str:
        """A constant's gradient, over steps and then over rows."""
        if expr == 0:
            return f"torch.zeros_like({self.names.of[constant]})"
        text = self.formula(expr, axis_of(constant))
        return f"({text}).sum((0, 1))" if " " in text else f"{text}.sum((0, 1))"


def _plain(axes: Iterable[str]) -> dict[str, str]:
    return {axis: axis for axis in axes}
