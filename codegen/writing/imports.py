"""What a generated file imports: what its body uses."""

from __future__ import annotations


def imports(body: str, further: tuple[str, ...] = ()) -> list[str]:
    """The import block of a file with that body; ``further`` are lines for what else it needs."""
    typing = ["Any, NamedTuple" if "Any" in body else "NamedTuple"]
    abstract = "Iterator, Sequence" if "Sequence[" in body else "Iterator"
    lines = ["from __future__ import annotations", "", "import math"]
    lines.append(f"from collections.abc import {abstract}")
    lines += [f"from typing import {typing[0]}", "", "import torch", "from torch import Tensor, nn"]
    if "F." in body:
        lines.append("from torch.nn import functional as F")
    if further:
        lines += ["", *further]
    if "Tensors" in body:
        lines += ["", "Tensors = tuple[Tensor, ...]"]
    return lines
