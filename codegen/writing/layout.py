"""Lines that ``ruff format`` leaves as they are, at its default width and at any greater one.

What does not fit is written one item a line with a trailing comma, which the formatter keeps at every width.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

WIDTH = 88
INDENT = "    "


def indent(lines: Iterable[str], levels: int = 1) -> list[str]:
    """The lines, moved to the right; empty lines stay empty."""
    return [INDENT * levels + line if line else "" for line in lines]


def fits(line: str, levels: int) -> bool:
    """Whether a line is short enough at a depth of indentation."""
    return len(INDENT) * levels + len(line) <= WIDTH


def listed(head: str, items: Sequence[str], tail: str, levels: int) -> list[str]:
    """``head`` + items + ``tail`` on one line, or one item a line; tail closes the bracket of head."""
    line = f"{head}{', '.join(items)}{tail}"
    if fits(line, levels) or not items:
        return [line]
    return [head, *indent(f"{item}," for item in items), tail]


def concatenated(target: str, items: Sequence[str], levels: int) -> list[str]:
    """``target = torch.cat((a, b))``; ``target`` may be ``return`` or a name with its equals sign."""
    line = f"{target} torch.cat(({', '.join(items)}))"
    if fits(line, levels):
        return [line]
    return [
        f"{target} torch.cat(",
        INDENT + "(",
        *indent((f"{item}," for item in items), 2),
        INDENT + ")",
        ")",
    ]


def unpacked(names: Sequence[str], value: str, levels: int) -> list[str]:
    """``a, b = value``."""
    line = f"{', '.join(names)} = {value}" if len(names) > 1 else f"({names[0]},) = {value}"
    if fits(line, levels):
        return [line]
    return ["(", *indent(f"{name}," for name in names), f") = {value}"]


def returned(values: Sequence[str], levels: int) -> list[str]:
    """``return a, b``."""
    line = f"return {', '.join(values)}"
    if fits(line, levels) or len(values) == 1:
        return [line]
    return ["return (", *indent(f"{value}," for value in values), ")"]


def joined(names: Sequence[str]) -> str:
    """Names run together for a block of them: ``iof``, ``if_s_tilde``."""
    text = ""
    for before, name in zip(("", *names), names, strict=False):
        text += name if len(before) == 1 == len(name) or not text else f"_{name}"
    return text
