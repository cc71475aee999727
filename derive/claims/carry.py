"""``carries-s``: a setting of the gates, or weights, at which the step returns a state unchanged (A2).

The definition: in the closure of the gates' box there is a setting (or there are weights) at which, for
every value of one named state in an open set, that state is returned unchanged and its diagonal Jacobian
block is I.
Where none is found, :mod:`derive.claims.morph` says whether there can be none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import sympy

from derive.anatomy import Write, gates, states, write
from derive.cell import Cell
from derive.claim import Claim
from derive.claims.tools.drives import Numbers, settle, zeros
from derive.claims.tools.kind import Evidence, Kind, Tries, made, state_of
from derive.claims.tools.pieces import affine_pieces, saturates
from derive.claims.tools.setting import Setting, behind, block_is_identity, returned
from derive.show.text import typeset
from derive.symbols import Activated, Parameter, Quantity, State, Vector, atoms

MOST_GATES = 6
"""Settings are tried one by one; a write with more gates than this is left undecided."""
MOST_TRIES = 200
"""Settings of parameters that are tried for one state."""


def carries_at(cell: Cell, state: Any, setting: Mapping[Any, Any], *, jacobian: bool = False) -> Claim:
    """At this setting of vectors (symbols or names, each at a value of the closure of its range) the step
    returns the state unchanged; with ``jacobian`` also: its diagonal Jacobian block is I.

    A false one is refuted by weights that put the vectors at the setting up to rounding, a state, and what
    the step returns for it.
    """
    state = state_of(cell, state)
    held = {cell.symbols[str(v)]: sympy.sympify(value) for v, value in setting.items()}
    found = Setting(held)
    same = _along_the_way(cell, write(cell, state), held) - state.prev == 0
    if same and (not jacobian or block_is_identity(cell, state, found)):
        return _proved(cell, state, found, "substitution in the write", jacobian)
    tries = Tries()
    numbers = _counterexample(cell, state, held)
    tries.note("weights that put the vectors at the setting", "found" if numbers else "none found")
    fields = _spoken(cell, state, found, jacobian)
    if numbers is None:
        return made(cell, "carries", status="unknown", method=tries.told, **fields, attempts=tries.attempts)
    shown = {**found.to_plain(), "state": state.name, "jacobian": jacobian, "run": numbers.to_plain()}
    shown["returns"] = numbers.states(cell)[1][cell.states.index(state.name)].tolist()
    return made(cell, "carries", status="refuted", method="a run", counterexample=shown, **fields)


@lru_cache(maxsize=1024)
def carry(cell: Cell, state: State) -> Claim:
    """The first setting of gates and parameters that carries the state; ``unknown`` where none is found."""
    tries = Tries()
    number = 0
    for number, setting in enumerate(_settings(cell, write(cell, state)), 1):
        if sympy.expand(returned(cell, state, setting) - state.prev) == 0 and block_is_identity(
            cell, state, setting
        ):
            return _proved(cell, state, setting, "substitution in the step, and its Jacobian", True)
        if number == MOST_TRIES:
            break
    tries.note(f"{number} settings of gates at the ends of their ranges and of parameters", "none carries")
    name = typeset(state.name)
    return made(
        cell,
        "carries",
        name=f"carries-{state.name}",
        statement=f"some setting of the gates or some weights return {name} unchanged",
        status="unknown",
        method=tries.told,
        attempts=tuple(tries.attempts),
    )


def _settings(cell: Cell, found: Write) -> Iterator[Setting]:
    """Gates alone, the fewest first; then with all other parameters 0; then with one of them at κ I."""
    switches = _switches(cell, found)
    if len(switches) > MOST_GATES:
        return
    held = [
        dict(zip(switches, map(sympy.Integer, values), strict=True))
        for values in product((0, 1), repeat=len(switches))
    ]
    held = [h for h in held if all(saturates(cell.equations[g].activation, v) for g, v in h.items())]
    yield from (Setting(h) for h in held)
    here = set().union(*(cell.equations[v].atoms(Parameter) for v in behind_vectors(cell, found)))
    for h in held:
        free = sorted(here - behind(cell, h), key=lambda p: p.name)
        rest: dict[Parameter, sympy.Expr] = dict.fromkeys(free, sympy.S.Zero)
        if rest:
            yield Setting(h, rest)
        for kappa, shift, region in _affine(cell, found):
            for p in (q for q in free if len(q.axes) == 1 or q.axes[0] == q.axes[1]):
                biases = [q for q in free if len(q.axes) == 1 and q != p] if shift != 0 else [None]
                for b in biases:
                    yield Setting(h, rest | {p: kappa} | ({b: shift} if b else {}), region)


def _switches(cell: Cell, found: Write) -> list[Vector]:
    present = set().union(*(cell.equations[v].atoms(Vector) for v in found.via))
    found_gates = [g for g in gates(cell) if g in present]
    return sorted(found_gates, key=lambda g: not found.carry.has(g))


def behind_vectors(cell: Cell, found: Write) -> list[Vector]:
    """The vectors that the state is computed from within the step, gates and other states left out."""
    seen: list[Vector] = []
    frontier: list[Any] = [found.state]
    while frontier:
        v = frontier.pop()
        if v in seen or v in gates(cell) or not isinstance(v, Vector):
            continue
        seen.append(v)
        frontier += sorted(atoms(cell.equations[v]), key=str)
    return seen


def _affine(cell: Cell, found: Write) -> Iterator[tuple[sympy.Expr, sympy.Expr, tuple[Any, Any]]]:
    """κ, β and a region where φ(κ s + β) = s, for the activations on the way that have an affine piece."""
    yield sympy.S.One, sympy.S.Zero, (-sympy.oo, sympy.oo)
    nodes = set().union(*(cell.equations[v].atoms(Activated) for v in found.via))
    for phi in sorted({node.activation for node in nodes}, key=lambda phi: phi.name):
        for piece in affine_pieces(phi):
            p, q = piece.slope, piece.intercept
            if p != 0:
                ends = (p * piece.low + q, p * piece.high + q)
                yield 1 / p, -q / p, ends if p > 0 else ends[::-1]


def _along_the_way(cell: Cell, write: Write, held: Mapping[Quantity, Any]) -> sympy.Expr:
    """The write with held vectors and the vectors between the state and its past put in."""
    expr = cell.equations[write.state].xreplace(dict(held))
    for vector in write.via[1:]:
        expr = expr.xreplace({vector: cell.equations[vector].xreplace(dict(held))})
    return sympy.expand(expr)


def _spoken(cell: Cell, state: State, setting: Setting, jacobian: bool) -> dict[str, Any]:
    """Name, statement and assumptions, out of the setting alone."""
    name = typeset(state.name)
    at = ", ".join(f"{typeset(v.name)} = {value}" for v, value in setting.held.items())
    fixed = ", ".join(f"{typeset(p.name)} = {_scalar(p, v)}" for p, v in setting.parameters.items())
    where = " with ".join(filter(None, [f"at {at}" if at else "", fixed]))
    where = f"with {where}" if fixed and not at else where or "at every setting"
    latex_at = ", ".join(
        [f"{sympy.latex(sympy.Symbol(v.name))} = {value}" for v, value in setting.held.items()]
        + [f"{sympy.latex(sympy.Symbol(p.name))} = {_scalar(p, v)}" for p, v in setting.parameters.items()]
    )
    low, high = setting.region
    inside = [f"{name} > {low}"] if low.is_finite else []
    inside += [f"{name} < {high}"] if high.is_finite else []
    region = f" for {' and '.join(inside)}" if inside else ""
    block = f", and ∂{name}ₜ/∂{name}ₜ₋₁ = I" if jacobian else ""
    symbol = sympy.latex(sympy.Symbol(state.name))
    return {
        "name": f"carries-{state.name}",
        "statement": f"{where} the step returns {name} unchanged{region}{block}",
        "gist": ", ".join(filter(None, [at, fixed])).replace(" = ", "=").replace(", ", ","),
        "latex": rf"{latex_at} \implies {symbol}_t = {symbol}_{{t-1}}",
        "assumptions": _closure(setting) if jacobian else (),
    }


def _closure(setting: Setting) -> tuple[str, ...]:
    names = ", ".join(typeset(v.name) for v in setting.held)
    where = "in the closure of the gate box, to which weights come as near as one likes"
    return (f"{names} {where}",) if names else ()


def _scalar(parameter: Parameter, value: sympy.Expr) -> str:
    if len(parameter.axes) == 1 or value == 0:
        return str(value)
    return "I" if value == 1 else f"{value} I"


def _proved(cell: Cell, state: State, setting: Setting, method: str, jacobian: bool) -> Claim:
    certificate = {"state": state.name, **setting.to_plain(), "jacobian": jacobian}
    spoken = _spoken(cell, state, setting, jacobian)
    return made(cell, "carries", status="proved", method=method, certificate=certificate, **spoken)


def _counterexample(cell: Cell, state: State, held: Mapping[Vector, sympy.Expr]) -> Numbers | None:
    """A step of two units from (1, -1), or from (1, 1/2), that does not return the state."""
    place = cell.states.index(state.name)
    for attempt in range(6):
        numbers = zeros(cell, n=2)
        rng = np.random.default_rng(attempt)
        if attempt:
            for array in numbers.parameters.values():
                array[...] = np.round(8 * rng.normal(size=array.shape)) / 8
        for array, seed in zip(numbers.state, range(len(numbers.state)), strict=True):
            array[...] = np.resize([1.0, -1.0] if (attempt + seed) % 2 == 0 else [1.0, 0.5], array.shape)
        if settle(cell, numbers, held) and _differs(cell, numbers, place, held):
            return numbers
    return None


def _differs(cell: Cell, numbers: Numbers, place: int, held: Mapping[Vector, Any]) -> bool:
    """Whether the vectors are at the setting and the state comes back changed."""
    with np.errstate(all="ignore"):
        vectors = numbers.first_step(cell)
    at = all(np.all(np.abs(vectors[v.name] - float(value)) <= 1e-12) for v, value in held.items())
    after = vectors[cell.states[place]]
    return bool(at and np.isfinite(after).all() and np.abs(after - numbers.state[place]).max() > 1e-6)


def check(cell: Cell, claim: Evidence) -> bool:
    """Everything put into the step, activations piece by piece, gives the past; the Jacobian's words add up
    to I.  A counterexample is replayed."""
    evidence = claim["certificate" if claim["status"] == "proved" else "counterexample"]
    state = state_of(cell, evidence["state"])
    setting = Setting.from_plain(cell, evidence)
    jacobian = bool(evidence["jacobian"])
    spoken = _spoken(cell, state, setting, jacobian)
    if any(claim[key] != spoken[key] for key in ("name", "statement")):
        return False
    if list(claim["assumptions"]) != list(spoken["assumptions"]):
        return False
    if claim["status"] == "refuted":
        numbers = Numbers.from_plain(cell, evidence["run"])
        place = cell.states.index(state.name)
        came = numbers.states(cell)[1][place]
        return bool(
            _differs(cell, numbers, place, setting.held) and np.array_equal(came, evidence["returns"])
        )
    low, high = setting.region
    if not low < high or not _in_closure(cell, setting):
        return False
    same = sympy.expand(returned(cell, state, setting) - state.prev) == 0
    return bool(same and (not jacobian or block_is_identity(cell, state, setting)))


def _in_closure(cell: Cell, setting: Setting) -> bool:
    """Whether every held vector can come to its value, and no parameter that it needs is spent elsewhere."""
    for vector, value in setting.held.items():
        equation = cell.equations[vector]
        if isinstance(equation, Activated) and not (
            equation.activation.range.inf <= value <= equation.activation.range.sup
        ):
            return False
    return not behind(cell, setting.held) & set(setting.parameters)


def _prove(cell: Cell) -> Iterator[Claim]:
    from derive.claims.morph import morphs

    for state in states(cell):
        carried = carry(cell, state)
        if carried.status == "proved" or morphs(cell, state).status != "proved":
            yield carried


KINDS = (Kind("carries", "a setting returns the state unchanged", _prove, check, rank=1),)
