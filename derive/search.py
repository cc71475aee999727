"""Finding derivations: breadth-first search over the cells in reach of a cell, equal cells visited once."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass
from functools import lru_cache
from heapq import heappop, heappush
from itertools import count
from typing import Any

import sympy

from derive.anatomy import is_shadow, states
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.colours import key, subexpressions
from derive.derivation import Derivation, derive_through
from derive.equivalence import equivalent
from derive.errors import AlreadyHolds, NoPath, RuleDoesNotApply
from derive.normal import normal_form
from derive.rule import Rule, rules
from derive.symbols import Activated, MeanMap, Parameter, Previous, State

GATES = frozenset({"sigmoid"})
"""What new gates apply, and what goes with a gate that is taken away."""

Move = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class Node:
    """A cell on the way, and how the search came to it."""

    cell: Cell
    parent: Node | None = None
    move: Move | None = None

    def moves(self) -> list[Move]:
        """The rules from the start to this cell."""
        before = self.parent.moves() if self.parent else []
        return [*before, self.move] if self.move else before


def breadth_first(start: Cell, keep: Callable[[Cell], bool] = lambda _: True) -> Iterator[Node]:
    """Every distinct cell in reach of a start that ``keep`` lets through, by fewest rules first."""
    seen = {_key(start)}
    frontier = deque([Node(start)])
    while frontier:
        node = frontier.popleft()
        yield node
        for move, after in prospects(node.cell).next:
            key_ = _key(after)
            if key_ not in seen and keep(after):
                seen.add(key_)
                frontier.append(Node(after, node, move))


@dataclass(frozen=True)
class Prospects:
    """What each rule, with each choice of options that a search tries, makes of a cell; the rules done."""

    next: tuple[tuple[Move, Cell], ...]
    done: frozenset[str]


@lru_cache(maxsize=1 << 14)
def prospects(cell: Cell, kinds: frozenset[str] = frozenset()) -> Prospects:
    """Try every rule on a cell; ``kinds`` are activations to try where a rule lets one choose."""
    found, done = [], set()
    for rule, options in moves(kinds):
        try:
            found.append(((rule.name, options), rule.rewrite(cell, **options).cell))
        except AlreadyHolds:
            done.add(rule.name)
        except RuleDoesNotApply:
            continue
    return Prospects(tuple(found), frozenset(done))


def moves(kinds: Set[str] = frozenset()) -> list[tuple[Rule, dict[str, Any]]]:
    """Every rule with every choice of options that a search tries, and with the given activations."""
    found = [(rule, dict(options)) for rule in rules().values() for options in rule.search]
    choices = [(rule, kind) for rule in rules().values() for kind in rule.options.get("activation", ())[1:]]
    return found + [(rule, {"activation": kind}) for rule, kind in choices if kind in kinds]


def _kinds(cell: Cell) -> frozenset[str]:
    """The names of the activations that a cell applies."""
    roots = [r for r in normal_form(cell).roots if r is not None]
    return frozenset(n.activation.name for r in roots for n in r.atoms(Activated))


def _squashes(cell: Cell) -> frozenset[str]:
    """The names of the activations that a cell applies to a state alone."""
    nodes = {n for e in cell.equations.values() for n in e.atoms(Activated)}
    return frozenset(n.activation.name for n in nodes if isinstance(n.argument, State | Previous))


@lru_cache(maxsize=1 << 14)
def _key(cell: Cell) -> int:
    return key(normal_form(cell).roots, [s.prev for s in states(cell)])


@lru_cache(maxsize=4096)
def profile(cell: Cell) -> tuple[Any, ...]:
    """What no renaming or reparameterization changes: a cheap test before :func:`equivalent`."""
    roots = [r for r in normal_form(cell).roots if r is not None]
    nodes: set[Activated] = set().union(*(r.atoms(Activated) for r in roots))
    matrices: set[Parameter] = {p for r in roots for p in r.atoms(Parameter) if len(p.axes) > 1}
    kinds = Counter(n.activation.name for n in nodes)
    return len(cell.states), bool(cell.output), frozenset(kinds.items()), len(matrices), _depth(roots)


def _depth(roots: list[sympy.Expr]) -> int:
    """How deeply activations are nested in the step."""

    def depth(expr: sympy.Expr) -> int:
        below = max((depth(a) for a in expr.args), default=0)
        return below + isinstance(expr, Activated)

    return max(depth(r) for r in roots)


Features = dict[str, int]


@lru_cache(maxsize=1 << 14)
def features(cell: Cell) -> Features:
    """Counts that rules only ever raise, save as their ``lowers`` says; a test holds every rule to it."""
    roots = [r for r in normal_form(cell).roots if r is not None]
    nodes = set().union(*(subexpressions(r) for r in roots))
    parameters = [p for p in nodes if isinstance(p, Parameter)]
    diagonal = {p for n in nodes if n.is_Mul for p in n.args if isinstance(p, Parameter)} - _added(nodes)
    return {
        "states": len(cell.states),
        "means": len({n for n in nodes if isinstance(n, MeanMap)}),
        "matrices": sum(len(p.axes) > 1 for p in parameters),
        "diagonals": len(diagonal),
        "biases": len(_added(nodes)),
    }


def _added(nodes: Set[sympy.Basic]) -> set[Parameter]:
    sums = [n for n in nodes if isinstance(n, sympy.Add)]
    return {p for n in sums for p in n.args if isinstance(p, Parameter)}


def _within_reach(goal: Cell) -> Callable[[Cell, Set[str]], bool]:
    """Whether a cell has no more of anything than the goal has, and what rules can still take away.

    A rule that takes away does so once for each memory, and not again where its work is done.
    """
    has = features(goal)
    memories = sum(not is_shadow(goal, s) for s in states(goal))
    takers = [rule for rule in rules().values() if rule.lowers]

    def keep(cell: Cell, done: Set[str]) -> bool:
        spare = Counter[str]()
        for rule in takers:
            times = memories - (rule.name in done)
            spare.update({feature: amount * times for feature, amount in rule.lowers.items()})
        return all(found <= has[feature] + spare[feature] for feature, found in features(cell).items())

    return keep


def path(a: Cell | str, b: Cell | str, *, max_cells: int = 200) -> Derivation:
    """A shortest derivation from a to a cell equal to b (up to renaming and reparameterization).

    Raises :class:`~derive.errors.NoPath` when the rules do not lead there, or not within ``max_cells`` cells.
    """
    start, goal = catalogued(a), catalogued(b)
    hindrance = _hindrance(start, goal)
    if hindrance:
        raise NoPath(f"no derivation from {start.name} to {goal.name}: {hindrance}")
    wanted = profile(goal)
    looked_at = 0
    for node in towards(start, goal):
        looked_at += 1
        if profile(node.cell) == wanted and equivalent(node.cell, goal):
            return derive_through(start, node.moves())
        if looked_at >= max_cells:
            raise NoPath(
                f"no derivation from {start.name} to {goal.name} among the first {max_cells} cells in reach"
            )
    raise NoPath(
        f"no derivation from {start.name} to {goal.name}: none of the {looked_at} cells in reach equals it"
    )


def _hindrance(start: Cell, goal: Cell) -> str:
    """Why there can be no derivation, where counting settles it; empty otherwise."""
    here, there = _kinds(start), _kinds(goal)
    offered = {kind for rule in rules().values() for kind in rule.options.get("activation", ())}
    if foreign := there - here - offered - GATES:
        return f"no rule brings {', '.join(sorted(foreign))}"
    if stuck := here - there - GATES:
        return f"no rule takes away {', '.join(sorted(stuck))}"
    has, wants = features(start), features(goal)
    if not _within_reach(goal)(start, frozenset()):
        more = [f"{has[k]} {k}, not {wants[k]}" for k in has if has[k] > wants[k]]
        return f"no rule takes away what {start.name} has more of than {goal.name}: {'; '.join(more)}"
    return ""


def towards(start: Cell, goal: Cell) -> Iterator[Node]:
    """A* search: the cells in reach, by the steps so far plus the rules whose work only the goal shows.

    A rule does the work of one rule, so the estimate is no overestimate and the first derivation found is a
    shortest. A cell's estimate is only computed when its turn comes; until then its parent's, less one,
    stands in.
    """
    keep = _within_reach(goal)
    kinds = _squashes(goal)
    wanted = prospects(goal, kinds).done
    order = count()
    seen: set[int] = set()
    queue: list[tuple[int, int, int, int, Node]] = [(0, 0, 0, next(order), Node(start))]
    while queue:
        total, _, depth, _, node = heappop(queue)
        if _key(node.cell) in seen:
            continue
        ahead = prospects(node.cell, kinds)
        if not keep(node.cell, ahead.done):
            continue
        missing, surplus = len(wanted - ahead.done), len(ahead.done - wanted)
        if -depth + missing > total:
            heappush(queue, (-depth + missing, surplus, depth, next(order), node))
            continue
        seen.add(_key(node.cell))
        yield node
        for move, after in ahead.next:
            if keep(after, frozenset()):
                estimate = max(total, 1 - depth + missing - 1)
                heappush(queue, (estimate, surplus, depth - 1, next(order), Node(after, node, move)))


def variants(a: Cell | str, *, max_steps: int = 3) -> Iterator[Derivation]:
    """Every distinct cell that at most ``max_steps`` rules make of a, as a shortest derivation, in order."""
    start = catalogued(a)
    for node in breadth_first(start):
        found = node.moves()
        if len(found) > max_steps:
            return
        yield derive_through(start, found)
