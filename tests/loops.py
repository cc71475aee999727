"""An interpreter of the loop form in NumPy float64: slow, literal, and strict about what is at hand.

The way back sees of a step only what the loop says that it has: what was taken in, exported, kept or computed
again, and old states that one of these holds.  Anything else raises :class:`NotAtHand`.  What lies around the
loop is differentiated by complex step, so that nothing here knows the chain rule.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sympy

from codegen.checking.gradients import COMPLEX_STEP, Gradients
from codegen.checking.sample import Array, Sample
from codegen.loop import Loop, LoopStatement, Mean, Transposed, matrices
from codegen.plan import Assignment, Phase, Product
from derive.symbols import Activated, Linear, Quantity
from derive.wellformed import axes_of

Env = dict[Quantity, Array]

_FUNCTIONS: Mapping[type, Callable[..., Any]] = {
    sympy.Abs: np.abs,
    sympy.Heaviside: lambda x, at_zero: np.where(x == 0, at_zero, x > 0),
    sympy.exp: np.exp,
    sympy.tanh: np.tanh,
    sympy.Max: np.maximum,
    sympy.Min: np.minimum,
}
_BY_NAME = {"expm1": np.expm1, "log1p": np.log1p}


class NotAtHand(LookupError):
    """A statement reads what the loop does not say is there."""


@dataclass
class Tally:
    """Operations as they were done, on arrays of full width: one for every number that came out."""

    multiply_adds: int = 0
    elementwise: int = 0
    activations: int = 0


class Counting:
    """Formulas as numbers, every operation tallied; within a formula each distinct piece is computed once."""

    def __init__(self, batch: tuple[int, ...]) -> None:
        self.batch = batch
        self.tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self.section = ""

    @property
    def tally(self) -> Tally:
        return self.tallies[self.section]

    def formula(self, expr: sympy.Expr, env: Env) -> Any:
        known: dict[sympy.Expr, Any] = {}

        def value(node: sympy.Expr) -> Any:
            if node not in known:
                known[node] = self._node(node, env, value)
            return known[node]

        return value(expr)

    def _node(self, node: sympy.Expr, env: Env, value: Callable[[sympy.Expr], Any]) -> Any:
        if isinstance(node, Quantity):
            if node not in env:
                raise NotAtHand(f"{node} is not among {', '.join(sorted(map(str, env)))}")
            return env[node]
        if node.is_Number:
            return float(node)
        if isinstance(node, Activated):
            result = node.activation.numpy(np.asarray(value(node.argument)))
            self.tally.activations += np.size(result) if node.activation.torch and axes_of(node) else 0
            return result
        if isinstance(node, Linear):
            return self.mean(value(node.vector))
        parts = [value(arg) for arg in node.args]
        if node.is_Add:
            result = sum(parts[1:], parts[0])
        elif node.is_Mul:
            result = np.prod(np.broadcast_arrays(*parts), axis=0)
        elif node.is_Pow:
            result = parts[0] ** parts[1]
        else:
            result = (_BY_NAME.get(node.func.__name__) or _FUNCTIONS[node.func])(*parts)
        if axes_of(node):
            self.tally.elementwise += np.size(result) * max(1, len(parts) - 1)
        return result

    def mean(self, vector: Array) -> Array:
        self.tally.elementwise += vector.size
        return np.broadcast_to(vector.mean(-1, keepdims=True), vector.shape)

    def matrix(self, weight: Array, vector: Array) -> Array:
        """weight @ vector on the last axis, one multiplication for every number of a large array."""
        terms = vector[..., None, :] * weight
        self.tally.multiply_adds += terms.size
        return terms.sum(-1)

    def product(self, product: Product, operand: Array, env: Env) -> Env:
        found: Env = {}
        for part in product.parts:
            result = self.matrix(env[part.matrix], operand)
            for bias in part.biases:
                result = result + env[bias]
                self.tally.elementwise += np.size(result)
            if part.addend is not None:
                result = result + env[part.addend]
                self.tally.elementwise += np.size(result)
            found[part.symbol] = result
        return found

    def phase(self, phase: Phase, env: Env) -> Env:
        """A phase's values beside those it is given."""
        found = dict(env)
        for statement in phase:
            if isinstance(statement, Product):
                found |= self.product(statement, self.formula(statement.operand, found), found)
            else:
                found[statement.symbol] = self.formula(statement.expr, found)
        return found

    def statements(self, statements: Sequence[LoopStatement], env: Env, sizes: Mapping[str, int]) -> None:
        """Flat statements, their values added to ``env``, at full width."""
        for statement in statements:
            found: Env
            if isinstance(statement, Product):
                assert isinstance(statement.operand, Quantity), "the operand of a product is a symbol"
                assert not any(part.biases for part in statement.parts), "a product takes no biases along"
                found = self.product(statement, self.formula(statement.operand, env), env)
            elif isinstance(statement, Transposed):
                pairs = zip(matrices(statement.product), statement.gradients, strict=True)
                parts = [self.matrix(env[m].T, self.formula(gradient, env)) for m, gradient in pairs]
                found = {statement.symbol: sum(parts[1:], parts[0])}
            elif isinstance(statement, Mean):
                found = {
                    statement.symbol: self.mean(self._wide(statement.symbol, statement.expr, env, sizes))
                }
            else:
                assert isinstance(statement, Assignment)
                found = {statement.symbol: self._wide(statement.symbol, statement.expr, env, sizes)}
            assert not found.keys() & env.keys(), f"{statement} binds what is bound"
            env |= found

    def _wide(self, symbol: Quantity, expr: sympy.Expr, env: Env, sizes: Mapping[str, int]) -> Array:
        return np.broadcast_to(self.formula(expr, env), (*self.batch, sizes[symbol.axes[0]]))


class LoopRun:
    """One run of a loop on a sample, forward and then back."""

    def __init__(self, loop: Loop, sample: Sample) -> None:
        self.loop = loop
        self.sample = sample
        self.steps, *batch = sample.inputs.shape[:2]
        self.batch = tuple(batch)
        self.count = Counting(self.batch)
        self.initial = dict(zip(loop.states, sample.state, strict=True))
        self.outside = self._before(sample.parameters, sample.inputs, self.count)
        self.matrices = {m: self.outside[m] for p in loop.products for m in matrices(p)}
        self.constants = {
            q: np.broadcast_to(self.outside[source], (*self.batch, sample.sizes[q.axes[0]]))
            for q, source in loop.constants.items()
        }
        self._forward()
        exported = {q: self.at_all_steps[q] for q in loop.exports}
        self.after = self._after(self.outside, exported, self.initial, self.count)

    # forward

    def _before(self, parameters: Mapping[str, Array], inputs: Array, count: Counting) -> Env:
        symbols = self.loop.cell.symbols
        env: Env = {symbols[name]: v for name, v in parameters.items()}
        count.section = "once"
        env = count.phase(self.loop.plan.once, env)
        env |= {symbols[name]: inputs for name in self.loop.cell.inputs}
        count.section = "before"
        return count.phase(self.loop.before, env)

    def _taken(self, t: int) -> Env:
        found: Env = {}
        for block in self.loop.blocks:
            for symbol, source in zip(block.symbols, block.sources, strict=True):
                whole, size = self.outside[source], self.sample.sizes[symbol.axes[0]]
                assert whole.shape == (self.steps, *self.batch, size), (
                    f"{source} is {whole.shape}, no (T, B, n)"
                )
                found[symbol] = whole[t]
        return found

    def _forward(self) -> None:
        self.count.section = "forward"
        self.history: list[Env] = []
        states = dict(self.initial)
        for t in range(self.steps):
            env = {**self.constants, **self.matrices, **self._taken(t)}
            env |= {s.prev: value for s, value in states.items()}
            self.count.statements(self.loop.forward, env, self.sample.sizes)
            states = {s: env[s] for s in self.loop.states}
            self.history.append(env)
        self.last = tuple(states.values())
        bound = {symbol for s in self.loop.forward for symbol in s.symbols}
        self.at_all_steps = {q: np.stack([env[q] for env in self.history]) for q in bound}

    def _after(self, outside: Env, exported: Env, initial: Mapping[Any, Array], count: Counting) -> Env:
        env = {**outside, **exported}
        for state in self.loop.states:
            if state in exported:
                env[state.prev] = np.concatenate([initial[state][None], exported[state][:-1]])
        count.section = "after"
        return count.phase(self.loop.after, env)

    def _output(self, env: Env) -> Any:
        name = self.sample.cell.output
        if name is None:
            return np.zeros((self.steps, *self.batch, 0))
        return np.broadcast_to(env[self.sample.cell.symbols[name]], self.sample.out_weight.shape)

    @property
    def output(self) -> Array:
        return self._output(self.after)

    def vector(self, symbol: Quantity) -> Array:
        """An equation's value at every step, wherever it is computed."""
        found = self.at_all_steps.get(symbol, self.after.get(symbol))
        return np.broadcast_to(found, (self.steps, *self.batch, self.sample.sizes[symbol.axes[0]]))

    # back

    def gradients(self) -> Gradients:
        """Of the sample's loss, by the loop's own way back."""
        direct, arriving = self._of_what_comes_after()
        carried = dict(zip(self.loop.states, self.sample.state_weight, strict=True))
        blocks, constants, of_matrices, states = self.back(arriving, carried)
        early = self._of_what_comes_before(blocks, constants)
        parameters = {n: direct.parameters[n] + early.parameters[n] for n in self.sample.parameters}
        for product, stacked in of_matrices.items():
            for matrix, gradient in zip(matrices(product), stacked, strict=True):
                parameters[matrix.name] = parameters[matrix.name] + gradient
        found = tuple(a + states[s] for a, s in zip(direct.state, self.loop.states, strict=True))
        return Gradients(parameters, direct.inputs + early.inputs, found)

    def _of_what_comes_after(self) -> tuple[Gradients, Env]:
        """What the loss owes to everything around the steps, and what arrives at each of them."""
        exported: Env = {q: self.at_all_steps[q].astype(complex) for q in self.loop.exports}

        def loss(parameters: dict[str, Array], inputs: Array, state: tuple[Array, ...]) -> Any:
            silent = Counting(self.batch)
            initial = dict(zip(self.loop.states, state, strict=True))
            env = self._after(self._before(parameters, inputs, silent), exported, initial, silent)
            return np.sum(self.sample.out_weight * self._output(env))

        parameters, inputs, state = self._complex()
        direct = _differentiate(lambda: loss(parameters, inputs, state), parameters, inputs, state)
        arriving = {q: _each(lambda: loss(parameters, inputs, state), v) for q, v in exported.items()}
        return direct, arriving

    def _of_what_comes_before(self, blocks: Env, constants: Env) -> Gradients:
        parameters, inputs, _ = self._complex()
        source = {q: s for b in self.loop.blocks for q, s in zip(b.symbols, b.sources, strict=True)}
        source |= self.loop.constants

        def pulled() -> Any:
            env = self._before(parameters, inputs, Counting(self.batch))
            return sum(np.sum(d * env[source[q]]) for q, d in {**blocks, **constants}.items())

        return _differentiate(pulled, parameters, inputs, ())

    def _complex(self) -> tuple[dict[str, Array], Array, tuple[Array, ...]]:
        sample = self.sample
        parameters = {name: v.astype(complex) for name, v in sample.parameters.items()}
        return parameters, sample.inputs.astype(complex), tuple(s.astype(complex) for s in sample.state)

    def at_hand(self, t: int) -> Env:
        """All that the way back may read of a step."""
        env = {**self.constants, **self.matrices, **self._taken(t)}
        env |= {q: self.at_all_steps[q][t] for q in self.loop.stored}
        for state in self.loop.states:
            if state in self.loop.stored:
                env[state.prev] = self.at_all_steps[state][t - 1] if t else self.initial[state]
        return env

    def back(self, arriving: Env, carried: Env) -> tuple[Env, Env, Mapping[Product, Sequence[Array]], Env]:
        """The gradients of what was taken in, of constants, of each product's matrices, of first states.

        ``arriving`` is the gradient of what is exported, (T, B, n); ``carried`` that of the last states.
        """
        loop, back, sizes = self.loop, self.loop.backward, self.sample.sizes
        blocks = {q: np.zeros((self.steps, *self.batch, sizes[q.axes[0]])) for q in loop.taken}
        of_matrices = {p: [np.zeros_like(self.matrices[m]) for m in matrices(p)] for p in loop.products}
        constants = {q: np.zeros(sizes[q.axes[0]]) for q in loop.constants}
        for t in reversed(range(self.steps)):
            env = self.at_hand(t)
            self.count.section = "recomputed"
            self.count.statements(back.recomputed, env, sizes)
            env |= {back.carried[s]: v for s, v in carried.items()}
            env |= {symbol: arriving[q][t] for q, symbol in back.arriving.items()}
            self.count.section = "reverse"
            self.count.statements(back.statements, env, sizes)
            carried = {s: env[back.of_previous[s]] for s in loop.states}
            for q in loop.taken:
                blocks[q][t] = env[back.of_blocks[q]]
            self.count.section = "matrices"
            for product in loop.products:
                operand = self.count.formula(product.operand, env)
                for total, delta in zip(of_matrices[product], back.of_parts[product], strict=True):
                    terms = env[delta][..., :, None] * operand[..., None, :]
                    self.count.tally.multiply_adds += terms.size
                    total += terms.sum(0)
            self.count.section = "sums"
            for q in constants:
                terms = np.broadcast_to(
                    self.count.formula(back.sums[q], env), (*self.batch, sizes[q.axes[0]])
                )
                self.count.tally.elementwise += terms.size if back.sums[q] != 0 else 0
                constants[q] += terms.sum(0)
        return blocks, constants, of_matrices, carried


def _differentiate(
    loss: Callable[[], Any], parameters: dict[str, Array], inputs: Array, state: tuple[Array, ...]
) -> Gradients:
    found = {name: _each(loss, v) for name, v in parameters.items()}
    return Gradients(found, _each(loss, inputs), tuple(_each(loss, s) for s in state))


def _each(loss: Callable[[], Any], array: Array) -> Array:
    """∂loss by every number of an array that it reads, by complex step."""
    found = np.zeros(array.shape)
    for index in np.ndindex(*array.shape):
        kept = array[index]
        array[index] = kept + 1j * COMPLEX_STEP
        found[index] = np.imag(loss()) / COMPLEX_STEP
        array[index] = kept
    return found
