"""``emit``: from a cell to the text of one self-contained file."""

from __future__ import annotations

from codegen.backends import backend as named
from codegen.errors import Unsupported
from codegen.lowering import lower
from derive.catalogue import cell as catalogued
from derive.cell import Cell


def emit(cell: Cell | str, backend: str = "eager", *, bias: bool = True) -> str:
    """Source text that defines the cell and a layer of it, and imports the standard library and torch alone.

    With ``bias=False`` the cell's biases are left out.  Emitting does not import torch.  Raises
    :class:`derive.UnknownCell`, :class:`~codegen.errors.UnknownBackend` or
    :class:`~codegen.errors.Unsupported`.
    """
    chosen = catalogued(cell)
    writer = named(backend)
    chosen = chosen if bias else chosen.without_biases()
    if (reason := writer.refusal(chosen)) is not None:
        raise Unsupported(f"the {backend} backend cannot write {chosen.name}: {reason}")
    return writer.emit(lower(chosen))
