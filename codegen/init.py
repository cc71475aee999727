"""Where the parameters of a layer start: named schemes, with scales derived from the cell's step Jacobian.

A scheme is one entry of :data:`SCHEMES`.  Besides ``torch``, which draws everything uniformly from ±1/√n, a
scheme gives each recurrent matrix the size at which the step Jacobian at s = x = 0 has spectral radius 1
(:func:`derive.initialization.initial_scales`).  All other matrices, and those whose share of the Jacobian is
not decided there (the matrices of most gates), get entries of mean square 1/fan_in, which hands on the mean
square of what they read.  Biases are 0; other vectors (peepholes, gains) stay as torch draws them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import sympy
import torch
from torch import Tensor, nn

from derive.cell import Cell
from derive.initialization import DISTRIBUTIONS, initial_scales, memory_biases

Memory = float | tuple[float, float] | None
LENGTH = sympy.Symbol("T", positive=True)


@dataclass(frozen=True)
class Scheme:
    """A way to draw matrices.

    ``draw`` fills a matrix in place, given it and the parameter of the distribution of the same name in
    :data:`derive.initialization.DISTRIBUTIONS`; None leaves everything as torch draws it.
    """

    summary: str
    draw: Callable[[Tensor, float], object] | None


def _orthogonal(matrix: Tensor, gain: float) -> None:
    """Through float32 where the matrix has less: there is no QR decomposition in half precision."""
    wide = torch.promote_types(matrix.dtype, torch.float32)
    matrix.copy_(nn.init.orthogonal_(torch.empty_like(matrix, dtype=wide), gain))


SCHEMES: Mapping[str, Scheme] = MappingProxyType(
    {
        "torch": Scheme("everything uniform on ±1/√n, as torch.nn.LSTM draws it", None),
        "uniform": Scheme(
            "uniform, recurrent matrices at spectral radius 1 of the step Jacobian (vanilla: ±√3/(γ√n))",
            lambda matrix, half: nn.init.uniform_(matrix, -half, half),
        ),
        "gaussian": Scheme(
            "Gaussian, the same variance (vanilla: standard deviation 1/(γ√n))",
            lambda matrix, deviation: nn.init.normal_(matrix, 0.0, deviation),
        ),
        "orthogonal": Scheme(
            "orthonormal rows or columns times a gain (vanilla: 1/γ; Saxe, McClelland and Ganguli, 2014)",
            _orthogonal,
        ),
    }
)


class Start:
    """How the parameters of one cell start; made once, applied to each layer and direction.

    ``biases`` outdo ``memory``.  A pair of memory lengths is a range from which every unit draws its own
    (Tallec and Ollivier, 2018); scales are those of its upper end, at which a carry leaves least, so the
    spectral radius at rest is 1 or less.  Raises :class:`~derive.errors.DeriveError` where the cell has no
    gates that could give it the memory.
    """

    def __init__(self, cell: Cell, init: str, memory: Memory, biases: Mapping[str, Any]) -> None:
        self.cell = cell
        self.scheme = init
        self.draw = SCHEMES[init].draw
        self.biases = biases
        self.range = memory if isinstance(memory, tuple) else None
        longest = self.range[1] if self.range else memory
        at_longest = {} if longest is None else memory_biases(cell, longest)
        self.lengths = memory_biases(cell, LENGTH) if self.range else at_longest
        self.sizes = self._sizes(at_longest) if self.draw else {}

    def _sizes(self, lengths: Mapping[str, Any]) -> dict[str, float]:
        """Those that the Jacobian at rest decides."""
        given = {name: _one_number(name, value) for name, value in self.biases.items()}
        scales = initial_scales(self.cell, {**lengths, **given})
        decided = {name: scale.size for name, scale in scales.items() if scale.size is not None}
        return {name: float(size) for name, size in decided.items() if size.is_number}

    def apply(self, module: Any) -> None:
        """Set all parameters of a generated cell, in place, from torch's random generator."""
        module.reset_parameters()
        parameters = {name: getattr(module, name) for name in self.cell.parameters}
        with torch.no_grad():
            if self.draw is not None:
                for name, parameter in parameters.items():
                    if parameter.dim() == 2:
                        self.draw(parameter, self._parameter(name, *parameter.shape))
                    elif name in self.cell.biases:
                        parameter.zero_()
            for name, value in {**self._length_biases(parameters), **self.biases}.items():
                parameter = parameters[name]
                parameter.copy_(torch.as_tensor(value, dtype=parameter.dtype).expand_as(parameter))

    def _parameter(self, name: str, rows: int, columns: int) -> float:
        size = self.sizes.get(name, math.sqrt(rows / columns))
        return float(DISTRIBUTIONS[self.scheme].fitted(size, rows, columns))

    def _length_biases(self, parameters: Mapping[str, Tensor]) -> dict[str, Any]:
        """From one memory length for all units; or, with a range, one a unit, the same for all its gates."""
        if self.range is None:
            return {name: float(bias) for name, bias in self.lengths.items()}
        drawn: dict[int, Any] = {}
        values = {}
        for name, bias in self.lengths.items():
            units = parameters[name].shape[0]
            if units not in drawn:
                drawn[units] = torch.empty(units, dtype=torch.float64).uniform_(*self.range).numpy()
            values[name] = sympy.lambdify(LENGTH, bias, "numpy")(drawn[units])
        return values


def _one_number(name: str, given: Any) -> sympy.Expr:
    """An initial bias as a number; one that differs from unit to unit as a symbol, since it has no value."""
    values = torch.as_tensor(given, dtype=torch.float64).unique()
    return sympy.Float(values.item()) if len(values) == 1 else sympy.Symbol(name, real=True)
