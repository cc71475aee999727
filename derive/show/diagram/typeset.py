"""Labels as runs of text: names in italics with real subscripts, numbers and functions upright."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import sympy
from sympy.printing.conventions import split_super_sub
from sympy.printing.pretty.pretty_symbology import pretty_symbol

from derive.symbols import Parameter, Previous, Quantity

SUB = 0.72
"""The size of a subscript against that of its letter."""

ACCENTS = {"tilde": "˜", "hat": "ˆ", "bar": "¯", "dot": "˙"}
"""Spacing accents, set above their letter: a combining one makes viewers change the font of its letter."""


@dataclass(frozen=True)
class Run:
    """A piece of a label; ``sub`` lowers and shrinks it, ``accent`` stands above its last letter."""

    text: str
    italic: bool = False
    sub: bool = False
    accent: str = ""


Label = tuple[Run, ...]


def upright(text: str) -> Label:
    """A label of plain text: a function's name, a number, a word."""
    return (Run(text),)


@cache
def _name(label: str) -> tuple[tuple[str, str], tuple[tuple[str, str], ...]]:
    """The letter and the subscripts of a name, each with its accent: ``U_s_tilde`` gives U and s̃."""
    stem, supers, subs = split_super_sub(label)
    parts: list[tuple[str, str]] = [(str(pretty_symbol(stem)), "")]
    for part in (*subs, *supers):
        if part in ACCENTS and not parts[-1][1]:
            parts[-1] = parts[-1][0], ACCENTS[part]
        else:
            parts.append((str(pretty_symbol(part)), ""))
    return parts[0], tuple(parts[1:])


def quantity(symbol: Quantity) -> Label:
    """A vector with its time index, or a parameter without one."""
    (letter, accent), below = _name(symbol.label)
    runs = [Run(letter, italic=True, accent=accent)]
    for index, (part, above) in enumerate(below):
        runs += [Run(",", sub=True)] if index else []
        runs.append(Run(part, italic=not part.isdigit(), sub=True, accent=above))
    if not isinstance(symbol, Parameter):
        runs += [Run(",", sub=True)] if below else []
        runs.append(Run("t", italic=True, sub=True))
        runs += [Run("−1", sub=True)] if isinstance(symbol, Previous) else []
    return tuple(runs)


def number(value: sympy.Expr) -> Label:
    """A coefficient, with a real minus sign."""
    return upright(str(value).replace("-", "−"))


_WIDTHS = {
    "fijlt": 0.28, "I.,:;'|()[]/ ": 0.33, "rsz": 0.4, "cekvxy": 0.45, "w": 0.67, "m": 0.72,
    "ABCDEFGHJKLNOPQRSTUVXYZ": 0.68, "MW": 0.84,
}  # fmt: skip
_EMS = {char: ems for chars, ems in _WIDTHS.items() for char in chars}


def ems(text: str) -> float:
    """How wide a text is at size 1 in Times, whose measure most serif fonts keep."""
    return sum(_EMS.get(char, 0.54) for char in text)


def width(label: Label, size: float) -> float:
    """How wide a label is, near enough to leave room for it."""
    return sum(ems(run.text) * size * (SUB if run.sub else 1) for run in label) + 0.04 * size


def plain(label: Label) -> str:
    """A label as one string, for those who do not see it: ``s̃_t-1``."""
    text, lowered = "", False
    for run in label:
        text += ("_" if run.sub and not lowered else "") + run.text + run.accent
        lowered = run.sub
    return text
