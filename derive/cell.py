"""``Cell``: one step of a recurrent network as an ordered, frozen list of equations."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import sympy

from derive import wellformed
from derive.activations import Activation
from derive.errors import DeriveError, MalformedCell, nearest
from derive.graph import dataflow
from derive.show.html import cell_html
from derive.show.latex import equations_latex
from derive.show.python import cell_source
from derive.show.text import TextNotation, equation
from derive.symbols import Activated, Input, Parameter, Quantity, State, Vector, atoms, substitute

if TYPE_CHECKING:
    import networkx as nx

Equations = Mapping[Vector, sympy.Expr]


class Cell:
    """A recurrent cell (s_t, o_t) = f(s_{t-1}, x_t), declared by its equations in the order of computation.

    ``equations`` maps each vector to its expression (a mapping, or pairs), in the order of computation.  A
    :class:`State` among the left sides is passed to the next step; ``states`` orders the states where there
    are several (default: as written).  ``output`` is the vector that the cell shows to the outside, or
    None. ``title`` and ``reference`` say what it is and where it was published.  A declaration that is not
    well-formed raises :class:`~derive.errors.MalformedCell`.

    Cells are immutable, hashable and picklable.  Equality compares the name, the equations and their order,
    the order of the states, and the output; not the prose.

    >>> from derive import Cell, Input, State, Vector, affine_parameters, tanh
    >>> s, x = State("s"), Input("x")
    >>> W, U, b = affine_parameters()
    >>> Cell("elman", {s: tanh(W @ s.prev + U @ x + b)}, output=s).states
    ('s',)
    """

    name: str
    equations: Equations
    states: tuple[str, ...]
    output: str | None
    title: str
    reference: str

    def __init__(
        self,
        name: str,
        equations: Equations | Iterable[tuple[Vector, sympy.Expr]],
        *,
        output: Vector | str | None = None,
        states: Sequence[State | str] | None = None,
        title: str = "",
        reference: str = "",
    ) -> None:
        order = None if states is None else _names(name, states)
        shown = None if output is None else _name(output)
        checked = wellformed.check(name, _pairs(name, equations), shown, order)
        for field, text in (("title", title), ("reference", reference)):
            if not isinstance(text, str):
                raise MalformedCell(f"{name}: {field}={text!r} is no text; expected a string")
        written = tuple(symbol.name for symbol in checked if isinstance(symbol, State))
        fields = (name, MappingProxyType(checked), order or written, shown, title, reference)
        for field, value in zip(
            ("name", "equations", "states", "output", "title", "reference"), fields, strict=True
        ):
            object.__setattr__(self, field, value)

    def __setattr__(self, field: str, value: Any) -> None:
        raise AttributeError(f"cells are frozen: {field} cannot be set; use cell.replace({field}=...)")

    def __delattr__(self, field: str) -> None:
        raise AttributeError(f"cells are frozen: {field} cannot be deleted")

    @cached_property
    def _identity(self) -> tuple[Any, ...]:
        return self.name, tuple(self.equations.items()), self.states, self.output

    def __eq__(self, other: object) -> bool:
        return self._identity == other._identity if isinstance(other, Cell) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._identity)

    def __reduce__(self) -> tuple[Any, ...]:
        pairs = tuple(self.equations.items())
        return _rebuild, (self.name, pairs, self.output, self.states, self.title, self.reference)

    def replace(self, **changes: Any) -> Cell:
        """A copy with some of the constructor's arguments changed."""
        fields = ("name", "equations", "output", "states", "title", "reference")
        unknown = next((c for c in changes if c not in fields), None)
        if unknown is not None:
            near = nearest(unknown, fields)
            raise DeriveError(f"a cell has no field {unknown!r}{near} Fields: {', '.join(fields)}")
        return Cell(**({f: getattr(self, f) for f in fields} | changes))

    @cached_property
    def symbols(self) -> Mapping[str, Quantity]:
        """Every quantity by name, parameters and means too; the past of s is ``s[t-1]``."""
        found = set().union(self.equations, *(atoms(e) for e in self.equations.values()))
        return MappingProxyType({q.name: q for q in sorted(found, key=lambda q: q.name)})

    @cached_property
    def parameters(self) -> Mapping[str, tuple[str, ...]]:
        """Name → axes, in the order in which the equations use them."""
        notation = TextNotation(self.equations)
        found: dict[str, tuple[str, ...]] = {}
        for expr in self.equations.values():
            for parameter in _in_order(expr, notation):
                found.setdefault(parameter.name, parameter.axes)
        return MappingProxyType(found)

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name, q in self.symbols.items() if isinstance(q, Input))

    @cached_property
    def biases(self) -> tuple[str, ...]:
        """The parameters that are only ever added, bare, to something: what ``bias=False`` leaves out.

        Not a bias: the b of tanh(b), which has nothing to be added to, or one that also multiplies.
        """
        added: set[Any] = set()
        other: set[Any] = set(self.equations.values())
        # b and -b are added alike
        unsigned = {-self.symbols[name]: self.symbols[name] for name in self.parameters}
        for expr in self.equations.values():
            for node in sympy.preorder_traversal(expr.xreplace(unsigned)):
                (added if isinstance(node, sympy.Add) else other).update(node.args)
        return tuple(name for name in self.parameters if self.symbols[name] in added - other)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The data flow (:func:`derive.graph.dataflow`)."""
        return dataflow(self.equations, self.output)

    def axes(self, name: str) -> tuple[str, ...]:
        """The axes of any quantity of the cell."""
        if name not in self.symbols:
            raise DeriveError(f"{self.name} has no {name!r}{nearest(name, self.symbols)}")
        return self.symbols[name].axes

    def without_biases(self) -> Cell:
        """The cell with every bias zero: its equations do not mention them."""
        zero = {self.symbols[name]: sympy.S.Zero for name in self.biases}
        return self.replace(
            equations={symbol: substitute(expr, zero) for symbol, expr in self.equations.items()}
        )

    def with_activations(self, choice: Mapping[str, Any]) -> Cell:
        """The cell with the outermost activation of some equations exchanged: ``{"s_tilde": relu}``."""
        return self.replace(equations=_exchange_activations(self, choice))

    def latex(self) -> str:
        """The equations in the article's notation, as one ``aligned`` block."""
        return equations_latex(self.equations)

    def line(self, symbol: Vector) -> str:
        """One equation on one line of text."""
        return equation(symbol, self.equations[symbol], TextNotation(self.equations))

    def __str__(self) -> str:
        notation = TextNotation(self.equations)
        lines = [equation(symbol, expr, notation) for symbol, expr in self.equations.items()]
        if self.output is not None:
            lines.append(f"output: {notation(self.symbols[self.output])}")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return cell_source(self)

    def _repr_latex_(self) -> str:
        return f"$\\displaystyle {self.latex()}$"

    def _repr_html_(self) -> str:
        return cell_html(self)


def _name(symbol: Any) -> str:
    return symbol.name if isinstance(symbol, Quantity) else str(symbol)


def _names(cell: Any, states: Any) -> tuple[str, ...]:
    if isinstance(states, str | Quantity) or not isinstance(states, Iterable):
        raise MalformedCell(
            f"{cell}: states={states!r} is no sequence; expected states=({states!r},) or the like"
        )
    return tuple(_name(s) for s in states)


def _pairs(cell: Any, equations: Any) -> list[Any]:
    if isinstance(equations, Mapping):
        return list(equations.items())
    if isinstance(equations, str) or not isinstance(equations, Iterable):
        kind = type(equations).__name__
        raise MalformedCell(
            f"{cell}: the equations are of type {kind}; expected a mapping from vectors to expressions"
        )
    return list(equations)


def _rebuild(
    name: str, pairs: Any, output: str | None, states: tuple[str, ...], title: str, reference: str
) -> Cell:
    return Cell(name, pairs, output=output, states=states, title=title, reference=reference)


def _in_order(expr: sympy.Expr, notation: TextNotation) -> list[Parameter]:
    """The parameters of an expression, left to right as written on paper."""
    if isinstance(expr, Parameter):
        return [expr]
    args: Sequence[Any] = expr.args
    if isinstance(expr, sympy.Add):
        args = notation.terms(expr)
    elif isinstance(expr, sympy.Mul):
        args = notation.factors(expr)
    return [p for arg in args for p in _in_order(arg, notation)]


def _exchange_activations(cell: Cell, choice: Mapping[str, Any]) -> dict[Vector, sympy.Expr]:
    equations = dict(cell.equations)
    outermost = {symbol.name: symbol for symbol, expr in equations.items() if isinstance(expr, Activated)}
    for name, activation in choice.items():
        if name not in outermost:
            near = nearest(name, outermost)
            known = f"Equations that are an activation of something: {', '.join(outermost)}"
            raise DeriveError(f"{cell.name}: {name!r} has no outermost activation{near} {known}")
        if not isinstance(activation, Activation):
            activation = Activation(str(activation))
        equations[outermost[name]] = activation(equations[outermost[name]].argument)
    return equations
