"""Commands about the derivative of a step: jacobian, bound."""

from __future__ import annotations

from typing import Annotated

import sympy
import typer

import derive
from codegen.cli.common import CellName, find_cell, out
from derive.bounds.symbols import typeset_bound
from derive.calculus import step_jacobian

Latex = Annotated[bool, typer.Option("--latex", help="As LaTeX.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the app."""
    app.command("jacobian", epilog="Example: cellwright jacobian gru --of s --wrt W_z")(jacobian)
    app.command("bound", epilog="Example: cellwright bound lstm --norm inf --inputs 1")(bound)


def jacobian(
    cell: CellName,
    of: Annotated[
        str | None, typer.Option(help="A state, the output, a gate; all states by default.")
    ] = None,
    wrt: Annotated[
        str | None, typer.Option(help="A state (one step earlier), the input, a parameter.")
    ] = None,
    latex: Latex = False,
) -> None:
    """Print the Jacobian of one step as a sum of words diag(a₀) W₁ diag(a₁) …"""
    found = find_cell(cell)
    targets = found.states if of is None else (of,)
    sources = found.states if wrt is None else (wrt,)
    blocks = [derive.jacobian(found, target, source) for target in targets for source in sources]
    whole = of is None and wrt is None and not latex
    lines = [str(step_jacobian(found))] if whole else [b.latex() if latex else str(b) for b in blocks]
    out.print("\n".join(lines), markup=False)


def bound(
    cell: CellName,
    norm: Annotated[str, typer.Option(help="inf or 2.")] = "inf",
    inputs: Annotated[
        float | None, typer.Option(help="Bound of the input's absolute value, elementwise; any by default.")
    ] = None,
    states: Annotated[
        float | None, typer.Option(help="Bound of the states' absolute values; what is proved by default.")
    ] = None,
    latex: Latex = False,
) -> None:
    """Print a bound of the step's Jacobian in the norms of the parameters, and when the step contracts."""
    found = derive.bound(find_cell(cell), norm, states=states, inputs=inputs)
    condition = found.condition_in_gates
    if latex:
        out.print(f"{sympy.latex(found.in_gates)}\n{sympy.latex(condition)}", markup=False)
        return
    out.print(str(found), markup=False)
    if condition in (sympy.true, sympy.false):
        out.print("contracts always" if condition else "no condition for contraction on this box")
        return
    parts = condition.args if isinstance(condition, sympy.And) else (condition,)
    out.print("contracts if " + "\n  and ".join(typeset_bound(part) for part in parts), markup=False)
