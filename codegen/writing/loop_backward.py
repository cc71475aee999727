"""The derived adjoint of a loop in plain torch operations: the backward pass of ``fused``.

A gradient is linear in the gradients it is made of, and what it multiplies them by is known before the first
step back.  So all such factors are computed for all steps at once, and a step does little more than multiply,
add, and apply the transposed matrices.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import sympy

from codegen.loop import Loop, Mean, Transposed, axis_of
from codegen.plan import Assignment, Product
from codegen.writing.gradient_terms import GradientTerms, Terms
from codegen.writing.layout import fits, indent, listed, returned, unpacked
from codegen.writing.loop_names import LoopNames, Texts, splits
from codegen.writing.widths import Width, together, widths
from derive.show.notation import ATOM, FACTOR
from derive.symbols import Quantity, State, Vector


def backward_function(loop: Loop, names: LoopNames, function: str) -> list[str]:
    """``function(need, …)``: the gradients of blocks, states, constants and matrices, in that order."""
    return _Backward(loop, names).function(function)


class _Backward:
    def __init__(self, loop: Loop, names: LoopNames) -> None:
        self.loop = loop
        self.backward = loop.backward
        self.names = names
        self.texts = Texts(names)
        self.width = dict(widths(loop))
        self.linear = GradientTerms(loop, names)
        self.terms = self.linear.of
        self.factors: dict[sympy.Expr, str] = {}
        self.over_time: list[str] = []
        self.places: dict[Quantity, list[str]] = {}
        self.uses_sizes: set[str] = set()
        self.texts.put({q: self.stored(q) for q in loop.stored})

    def function(self, function: str) -> list[str]:
        names = self.names
        allocations = self._allocate()
        loop = self._loop()
        after = self._after()
        head = [*self._values(), *self.over_time, *allocations, *self._start()]
        if self.uses_sizes:
            sizes = names.sizes()
            head[:0] = [f"{axis} = {sizes[axis]}" for axis in sizes if axis in self.uses_sizes]
            if "batch" in self.uses_sizes:
                head[:0] = [f"batch = {names.of[self.loop.states[0]]}.shape[0]"]
        doc = '"""The derived adjoint: gradients of everything the loop took, in its order."""'
        return [
            *listed(f"def {function}(", self.arguments, ") -> Tensors:", 0),
            *indent([doc, *head, *loop, *after]),
        ]

    @property
    def arguments(self) -> list[str]:
        """What arrives, what the loop took, what it stored."""
        names = self.names
        arriving = [names.of[q] for q in self.backward.arriving.values()]
        carried = [names.of[self.backward.carried[s]] for s in self.loop.states]
        tensors = [*arriving, *carried, *names.inputs, *(self.stored(q) for q in self.loop.stored)]
        steps = [] if self.loop.blocks else ["steps: int"]
        return ["need: Sequence[bool]", *steps, *(f"{name}: Tensor" for name in tensors)]

    def stored(self, quantity: Quantity) -> str:
        """A stored value at all steps; a state's own name is that of its initial value."""
        name = self.names.of[quantity]
        return f"all_{name}" if quantity in self.loop.states else name

    # what the steps need, for all of them at once

    def _values(self) -> list[str]:
        lines: list[str] = []
        read = self._read()
        for block in self.loop.blocks:
            if len(block.symbols) > 1 and read & set(block.symbols):
                targets = [self.names.of[q] for q in block.symbols]
                self.uses_sizes |= self._uneven(block.symbols)
                whole = self.names.blocks[block]
                lines += unpacked(targets, splits(self.names, block.symbols, whole, _plain(self.names)), 1)
        for state in self.loop.states:
            if state.prev in read:
                initial = f"{self.names.of[state]}.unsqueeze(0)"
                past = f"torch.cat(({initial}, {self.stored(state)}[:-1]))"
                lines.append(f"{self.names.of[state.prev]} = {past}")
        for statement in self.backward.recomputed:
            lines.append(f"{self.names.of[statement.symbol]} = {self.texts(statement.expr)}")
        return lines

    def _read(self) -> set[Quantity]:
        exprs = [s.expr for s in self.backward.recomputed]
        exprs += [s.expr for s in self.backward.statements if isinstance(s, Assignment | Mean)]
        exprs += [*self.backward.sums.values(), *(p.operand for p in self.loop.products)]
        return {q for expr in exprs for q in expr.atoms(Quantity)}

    def _uneven(self, symbols: Sequence[Quantity]) -> set[str]:
        axes = {axis_of(symbol) for symbol in symbols}
        return axes if len(axes) > 1 else set()

    # where gradients are written

    def _allocate(self) -> list[str]:
        lines: list[str] = []
        for block in self.loop.blocks:
            name = self.names.blocks[block]
            lines.append(f"d_{name} = torch.empty_like({name})")
            targets = [
                self._place(self.backward.of_blocks[q], f"d_{name}_{k}") for k, q in enumerate(block.symbols)
            ]
            if len(targets) == 1:
                self.places[self.backward.of_blocks[block.symbols[0]]][-1] = f"d_{name}"
            else:
                self.uses_sizes |= self._uneven(block.symbols)
                lines += unpacked(
                    targets, splits(self.names, block.symbols, f"d_{name}", _plain(self.names)), 1
                )
        for product in self.loop.products:
            lines += self._allocate_delta(product)
        return lines

    def _place(self, gradient: Quantity, otherwise: str) -> str:
        """A slice for a gradient; a second one for the same gradient has another name."""
        name = f"{self.names.of[gradient]}s" if gradient not in self.places else otherwise
        self.places.setdefault(gradient, []).append(name)
        return name

    def _allocate_delta(self, product: Product) -> list[str]:
        deltas = self.backward.of_parts[product]
        shared = self.loop.shared_delta(product)
        whole = self.delta(product)
        if shared is not None:
            block = self.loop.blocks[shared[0]]
            if len(deltas) == len(block.symbols):
                return []
            span = f"{self._total(block.symbols[: shared[1]])}, {self._total(deltas)}"
            return [f"{whole} = d_{self.names.blocks[block]}.narrow(-1, {span})"]
        self.uses_sizes.add("batch")
        shape = [self.steps, "batch", self._total(deltas)]
        lines = listed(f"{whole} = {self.names.weights[product]}.new_empty(", shape, ")", 1)
        targets = [self._place(d, self.names.fresh(f"{whole}_{k}")) for k, d in enumerate(deltas)]
        if len(targets) == 1:
            return [*lines, f"{targets[0]} = {whole}"]
        self.uses_sizes |= self._uneven(deltas)
        return [*lines, *unpacked(targets, splits(self.names, deltas, whole, _plain(self.names)), 1)]

    def delta(self, product: Product) -> str:
        """The gradients of a product's parts, side by side, at all steps."""
        shared = self.loop.shared_delta(product)
        if shared is not None:
            block = self.loop.blocks[shared[0]]
            if len(product.parts) == len(block.symbols):
                return f"d_{self.names.blocks[block]}"
        return f"delta_{self.names.weights[product]}"

    def _total(self, symbols: Sequence[Quantity]) -> str:
        """The width of vectors side by side."""
        axes = [axis_of(symbol) for symbol in symbols]
        self.uses_sizes |= set(axes)
        counts = {axis: axes.count(axis) for axis in axes}
        return " + ".join(f"{k} * {a}" if k > 1 else a for a, k in counts.items()) or "0"

    @property
    def steps(self) -> str:
        return f"len({next(iter(self.names.blocks.values()))})" if self.loop.blocks else "steps"

    # the loop

    def _start(self) -> list[str]:
        """Accumulators of the constants' gradients."""
        lines = []
        for constant, expr in self.backward.sums.items():
            if self.linear.of_sum(expr):
                self.uses_sizes |= {"batch", axis_of(constant)}
                shape = f"batch, {axis_of(constant)}"
                lines.append(f"d_{self.names.of[constant]} = {self.names.of[constant]}.new_zeros({shape})")
        return lines

    def _loop(self) -> list[str]:
        lines: list[str] = []
        for statement in self.backward.statements:
            if isinstance(statement, Transposed):
                lines += self._transposed(statement)
            elif isinstance(statement, Mean):
                name = self.names.of[statement.symbol]
                lines += self._added(name, self.terms[statement.symbol])
                lines.append(f"{name} = {name}.mean(-1, keepdim=True)")
                lines += self._copies(statement.symbol)
            elif isinstance(statement, Assignment) and statement.symbol in self.terms:
                lines += self._assignment(statement.symbol)
        for gradient in (*self.backward.arriving.values(), *self.backward.carried.values()):
            copies = self._copies(gradient)
            lines[:0] = copies
        for constant, expr in self.backward.sums.items():
            terms = self.linear.of_sum(expr)
            if terms:
                lines += self._accumulated(f"d_{self.names.of[constant]}", terms)
        states = self.loop.states
        before = [self.names.of[self.backward.carried[s]] for s in states]
        after = [self._value(self.backward.of_previous[s]) for s in states]
        lines.append(f"{', '.join(before)} = {', '.join(after)}")
        return [f"for t in reversed(range({self.steps})):", *indent(lines)]

    def _accumulated(self, target: str, terms: Terms) -> list[str]:
        """Add to a sum over the steps, row by row."""
        plain = [(q, f) for q, f in terms if f.is_Number]
        lines = [f"{target} += {self.texts(f, FACTOR)} * {self._value(q)}" for q, f in plain if f != 1]
        lines += [f"{target} += {self._value(q)}" for q, f in plain if f == 1]
        for gradient, factor in terms:
            if not factor.is_Number:
                lines.append(f"{target} += {self._value(gradient)} * {self._factor(factor, gradient)}")
        return lines

    def _transposed(self, statement: Transposed) -> list[str]:
        delta, weight = self.delta(statement.product), self.names.weights[statement.product]
        return [f"{self.names.of[statement.symbol]} = {delta}[t] @ {weight}", *self._copies(statement.symbol)]

    def _assignment(self, symbol: Vector) -> list[str]:
        terms = self.terms[symbol]
        places = self.places.get(symbol, [])
        first = f"{places[0]}[t]" if places else ""
        if places and (product := self._two_factors(terms)):
            lines = listed("torch.mul(", [*product, f"out={first}"], ")", 2)
        else:
            lines = self._sum(first or self.names.of[symbol], symbol, terms)
        if places:
            self.texts.put({symbol: first})
        return [*lines, *(f"{place}[t] = {first}" for place in places[1:])]

    def _copies(self, symbol: Quantity) -> Iterator[str]:
        for place in self.places.get(symbol, []):
            yield f"{place}[t] = {self._value(symbol)}"

    def _two_factors(self, terms: Terms) -> list[str]:
        """Two full tensors to be multiplied into a place, if that is all a gradient is."""
        if len(terms) != 1:
            return []
        gradient, factor = terms[0]
        if factor.is_Number or self._width_of(factor) is not Width.FULL:
            return []
        return [self._value(gradient), self._factor(factor, gradient)]

    def _sum(self, target: str, symbol: Quantity, terms: Terms) -> list[str]:
        """``target = …``: the bare gradients first, the others multiplied and added in one go."""
        widths_of = [w for q, f in terms for w in (self.width.get(q, Width.FULL), self._width_of(f))]
        expanded = ""
        if together(widths_of) is not Width.FULL and symbol in self.backward.of_previous.values():
            self.uses_sizes |= {"batch", axis_of(symbol)}
            expanded = f".expand(batch, {axis_of(symbol)})"
        if not terms and expanded:
            return [f"{target} = {self.names.of[self.loop.states[0]]}.new_zeros(batch, {axis_of(symbol)})"]
        lines = self._added(target, terms)
        return [*lines, f"{target} = {target}{expanded}"] if expanded else lines

    def _added(self, target: str, terms: Terms) -> list[str]:
        bare = [self._value(q) for q, f in terms if f == 1]
        scaled = [f"{self.texts(f, FACTOR)} * {self._value(q)}" for q, f in terms if f.is_Number and f != 1]
        rest = [(self._value(q), self._factor(f, q)) for q, f in terms if not f.is_Number]
        lines: list[str] = []
        if bare or scaled or not rest:
            lines.append(f"{target} = {' + '.join([*bare, *scaled]) or '0'}")
        else:
            value, factor = rest.pop(0)
            lines.append(f"{target} = {value} * {factor}")
        for value, factor in rest:
            lines += listed(f"{target} = torch.addcmul(", [target, value, factor], ")", 2)
        return lines

    def _value(self, gradient: Quantity) -> str:
        if gradient in self.backward.arriving.values():
            return f"{self.names.of[gradient]}[t]"
        return self.texts(gradient, ATOM)

    def _width_of(self, expr: sympy.Expr) -> Width:
        return together(self.width.get(q, Width.FULL) for q in expr.atoms(Quantity))

    def _factor(self, factor: sympy.Expr, of: Quantity) -> str:
        """A factor at step t, computed for all steps beforehand unless it is a value as it stands."""
        if isinstance(factor, Quantity):
            text = self.texts(factor)
            return text if factor in self.loop.constants else f"{text}[t]"
        if factor not in self.factors:
            label = self.names.of[of].removeprefix("d_")
            self.factors[factor] = self.names.fresh(f"slope_{label}")
            self.over_time.append(f"{self.factors[factor]} = {self.texts(factor)}")
        name = self.factors[factor]
        return name if self._width_of(factor) is Width.UNIT else f"{name}[t]"

    # after the loop

    def _first(self, state: State) -> str:
        """The gradient of an initial state; never the very tensor that came in as that of the last one."""
        name = self.names.of[self.backward.carried[state]]
        terms = self.terms.get(self.backward.of_previous[state], [])
        handed_on = len(terms) == 1 and terms[0][0] in self.backward.carried.values() and terms[0][1] == 1
        return f"{name}.clone()" if handed_on else name

    def _after(self) -> list[str]:
        names = self.names
        lines: list[str] = []
        results = [f"d_{name}" for name in names.blocks.values()]
        results += [self._first(s) for s in self.loop.states]
        for constant, expr in self.backward.sums.items():
            own = f"d_{names.of[constant]}"
            results.append(
                f"{own}.sum(0)" if self.linear.of_sum(expr) else f"torch.zeros_like({names.of[constant]})"
            )
        offset = len(results)
        # an operator must not give the same tensor twice, so that each has an empty one of its own
        missing = f"{names.of[self.loop.states[0]]}.new_empty(0)"
        for index, product in enumerate(self.loop.products):
            weight = names.weights[product]
            call = f"over_steps({self.delta(product)}, {self.texts(product.operand)})"
            lines += _conditional(f"d_{weight}", call, f"need[{offset + index}]", missing)
            results.append(f"d_{weight}")
        return [*lines, *returned(results, 1)] if len(results) > 1 else [*lines, f"return ({results[0]},)"]


def _conditional(target: str, value: str, condition: str, otherwise: str) -> list[str]:
    line = f"{target} = {value} if {condition} else {otherwise}"
    if fits(line, 1):
        return [line]
    return [f"{target} = {otherwise}", f"if {condition}:", f"    {target} = {value}"]


def _plain(names: LoopNames) -> dict[str, str]:
    return {axis: axis for axis in names.sizes()}
