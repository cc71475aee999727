"""What is proved about a trained network: contraction, bounded states, how long a change matters.

The weights are read from a safetensors file, their numbers taken exactly, and the cell's bounds evaluated in
ball arithmetic, so that rounding is inside the numbers; or in float64 on request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from codegen.errors import CodegenError
from derive.bounds import bound
from derive.bounds.symbols import read_norm
from derive.bounds.weighted import WeightedBounds
from derive.cell import Cell
from derive.errors import nearest
from derive.show.text import typeset
from derive.symbols import Previous

Array = np.ndarray[Any, Any]

EMBEDDING = "embedding.weight"
"""How a file's embedding matrix is called, after whatever modules it lies in."""
STEPS = (1, 10, 100)
SLACK = 1 + 1e-12
"""More than what float64 can lose in a few sums over states."""


@dataclass(frozen=True)
class Weights:
    """One layer's parameters by their names in the equations, and what is known of its input.

    ``cell`` is the cell without biases where the file has none.  ``inputs`` is max |entry| of every column of
    the embedding matrix, (m,); None where the file has no such matrix.
    """

    cell: Cell
    params: Mapping[str, Array]
    layer: str
    inputs: Array | None


@dataclass(frozen=True)
class Certificate:
    """What holds for one network.

    ``boxes`` is the largest |s| of every state, infinite where nothing bounds it.  ``rate`` is ρ: a step
    brings two states closer by that factor, if it is below 1, in the norm max ‖δₛ‖/dₛ over units (∞-norm) or
    over states (2-norm); ``distortion`` is max d / min d, the price of stating it without d, and ``plain``
    the factor with all d = 1.  ``jacobian`` bounds the norm of the step's Jacobian itself.
    """

    cell: Cell
    norm: Any
    rigorous: bool
    sizes: Mapping[str, int]
    assumptions: tuple[str, ...]
    boxes: Mapping[str, float]
    jacobian: float
    plain: float
    rate: float
    distortion: float

    @property
    def contracts(self) -> bool:
        return self.rate < 1

    @property
    def bounded(self) -> bool:
        return all(math.isfinite(limit) for limit in self.boxes.values())

    def influence(self, steps: int) -> float:
        """How large a change of size 1 at one step can be so many steps later; infinite if not bounded.

        Sizes are those of the largest unit (∞-norm), or of the largest state in the 2-norm.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            weighted = np.float64(self.rate) ** steps * self.distortion
            plain = np.float64(self.plain) ** steps
        least = min(weighted, plain)
        return float(np.nextafter(least * (1 + 4e-16 * (steps + 4)), np.inf)) if least else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is infinite is None."""
        return {
            "cell": self.cell.name,
            "norm": "2" if self.norm == 2 else "inf",
            "rigorous": self.rigorous,
            "sizes": dict(self.sizes),
            "assumptions": list(self.assumptions),
            "contracts": self.contracts,
            "rate": _finite(self.rate),
            "distortion": _finite(self.distortion),
            "jacobian": _finite(self.jacobian),
            "bounded": self.bounded,
            "states": {name: _finite(limit) for name, limit in self.boxes.items()},
            "influence": {str(k): _finite(self.influence(k)) for k in STEPS},
        }

    def __str__(self) -> str:
        what = "the largest unit" if self.norm != 2 else "the largest state in the 2-norm"
        if self.contracts:
            verdict = f"proved: every step brings two states closer, by {self.rate:.6g} at least"
        else:
            verdict = f"not proved to contract: the best factor found for a step is {self.rate:.6g}"
        sizes = ", ".join(f"{axis} = {size}" for axis, size in self.sizes.items())
        how = "ball arithmetic, rounding included" if self.rigorous else "float64, rounding not counted"
        lines = [f"{self.cell.name}, {sizes}, in {how}"]
        lines += [f"  assuming {a}" for a in self.assumptions]
        lines += [verdict, f"  in a norm with weights whose ratio is at most {self.distortion:.6g}"]
        lines += [f"  Jacobian of a step: ‖J‖{'₂' if self.norm == 2 else '∞'} ≤ {self.jacobian:.6g}"]
        for name, limit in self.boxes.items():
            proved = f"proved: |{typeset(name)}| ≤ {limit:.6g} always"
            lines.append(proved if math.isfinite(limit) else f"no bound of |{typeset(name)}| is proved")
        lines.append(f"a change of size 1 now ({what}) is, k steps later, at most")
        lines += [f"  k = {k:3}: {self.influence(k):.6g}" for k in STEPS]
        return "\n".join(lines)


def certify(
    cell: Cell,
    params: Mapping[str, Array],
    *,
    norm: Any = "inf",
    inputs: float | Array | None = None,
    rigorous: bool = True,
) -> Certificate:
    """What is proved about the network with these weights, for states that start at zero.

    ``inputs`` bounds |x|, elementwise: a number, or (m,); None allows any input.  ``rigorous`` asks for ball
    arithmetic, which needs python-flint (:class:`~derive.errors.DeriveError` says so).  Raises
    :class:`~derive.errors.EvaluationError` for missing or misshapen parameters.

    >>> found = certify(derive.cell("vanilla"), {"W": [[0.5]], "U": [[1.0]], "b": [0.0]}, rigorous=False)
    >>> found.contracts, found.influence(10) < 1e-3
    (True, True)
    """
    exact = {name: np.asarray(value, dtype=np.float64) for name, value in params.items()}
    kind = read_norm(norm)
    subject = bound(cell, kind, inputs=None)
    limits = inputs if cell.inputs else None
    found = subject.weighted(exact, inputs=limits, rigorous=rigorous)
    jacobian, *factors = _contraction_2(found) if kind == 2 else _contraction_oo(found)
    return Certificate(
        cell,
        kind,
        rigorous,
        found.intervals.sizes,
        _assumptions(cell, limits),
        _boxes(cell, found),
        jacobian,
        *factors,
    )


def _contraction_oo(found: WeightedBounds) -> tuple[float, float, float, float]:
    """``(jacobian, plain, rate, distortion)``."""
    rate, weights = found.rate()
    stacked = np.concatenate(list(weights.values()))
    jacobian = found.infinity_norm()
    return jacobian, jacobian, rate, float(np.nextafter(stacked.max() / stacked.min(), np.inf))


def _contraction_2(found: WeightedBounds) -> tuple[float, float, float, float]:
    """By the Perron vector u of the matrix N of block norms: max ‖δₛ‖₂/uₛ shrinks by max (N u)ₛ/uₛ."""
    blocks = found.block_norms()
    if not np.isfinite(blocks).all():
        return math.inf, math.inf, math.inf, 1.0
    jacobian = float(np.linalg.norm(blocks, 2)) * SLACK
    plain = float(blocks.sum(axis=1).max()) * SLACK
    weights = np.ones(len(blocks))
    for _ in range(1000):  # damped, lest it goes round in circles
        raised = blocks @ weights
        weights = np.maximum((weights + raised / max(raised.max(), 1e-300)) / 2, 1e-9)
    rate = float((blocks @ weights / weights).max()) * SLACK
    if plain <= rate:
        return jacobian, plain, plain, 1.0
    return jacobian, plain, rate, float(np.nextafter(weights.max() / weights.min(), np.inf))


def _boxes(cell: Cell, found: WeightedBounds) -> dict[str, float]:
    """The largest |s| of every state, over its units; infinite without a box that a step does not leave."""
    limits = {}
    for name in cell.states:
        box = found.intervals.box.get(Previous(name, *cell.axes(name)))
        limits[name] = math.inf
        if box is not None:
            above = found.numbers.above
            limits[name] = float(max(above(-box.low).max(), above(box.high).max()))
    return limits


def _assumptions(cell: Cell, inputs: float | Array | None) -> tuple[str, ...]:
    notes = "states that start at 0", "steps in real numbers: the network's own rounding is not counted"
    for name in cell.inputs:
        if inputs is None:
            return *notes, f"any {typeset(name)}"
        unit = "" if np.ndim(inputs) == 0 else ", unit by unit at most its largest entry in the embedding"
        return *notes, f"|{typeset(name)}| ≤ {np.max(inputs):.6g}{unit}"
    return notes


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


# Files


def read_weights(path: Path, cell: Cell, layer: str | None = None) -> Weights:
    """The parameters of one layer in a safetensors file, under the names in the equations.

    Before the names may stand those of modules (``layer.l0.cell.W_i``), one and the same for all; where
    several such layers are in the file, ``layer`` says which.  Raises :class:`~codegen.errors.CodegenError`
    for a file that is missing, damaged, or without such a layer, and for weights that are not finite.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = list(file.keys())
            prefix, subject = _layer(path, cell, names, layer)
            params = {name: file.get_tensor(prefix + name) for name in subject.parameters}
            found = [n for n in names if n == EMBEDDING or n.endswith(f".{EMBEDDING}")]
            embedding = file.get_tensor(found[0]) if len(found) == 1 and cell.inputs else None
    except FileNotFoundError as error:
        raise CodegenError(f"no file {path}; expected the weights that cellwright train writes") from error
    except (SafetensorError, TypeError) as error:  # TypeError: a precision that NumPy has not
        raise CodegenError(f"{path} is damaged or not a safetensors file: {error}") from error
    exact = {name: np.asarray(value, dtype=np.float64) for name, value in params.items()}
    wrong = [name for name, value in exact.items() if not np.isfinite(value).all()]
    if wrong:
        raise CodegenError(f"{path}: {prefix}{wrong[0]} holds numbers that are not finite")
    return Weights(subject, exact, prefix, _columns(subject, exact, embedding))


def _layer(path: Path, cell: Cell, names: list[str], layer: str | None) -> tuple[str, Cell]:
    """The prefix of the layer's names and the cell whose parameters they are."""
    for subject in (cell, cell.without_biases()):
        first = next(iter(subject.parameters), None)
        if first is None:
            continue
        prefixes = [n.removesuffix(first) for n in names if n == first or n.endswith(f".{first}")]
        complete = [p for p in prefixes if all(p + name in names for name in subject.parameters)]
        if layer is not None:
            complete = [p for p in complete if layer.rstrip(".") in (p.rstrip("."), *p.split("."))]
        if len(complete) > 1:
            listed = ", ".join(repr(p.rstrip(".")) for p in complete)
            raise CodegenError(f"{path} holds {len(complete)} layers of {cell.name}; choose one of {listed}")
        if complete:
            return complete[0], subject
    endings = sorted({n.rpartition(".")[2] for n in names})
    missing = next((p for p in cell.parameters if p not in endings), next(iter(cell.parameters), ""))
    inside = "" if layer is None else f" inside {layer!r}"
    raise CodegenError(
        f"{path} has no layer of {cell.name}{inside}: {missing!r}{nearest(missing, endings)} "
        f"Expected {', '.join(cell.parameters)}; the file has {', '.join(endings)}"
    )


def _columns(cell: Cell, params: Mapping[str, Array], embedding: Array | None) -> Array | None:
    """max |entry| of every column, if the matrix has as many columns as the input has units."""
    if embedding is None or embedding.ndim != 2 or not len(embedding):
        return None
    (axis,) = cell.axes(cell.inputs[0])
    shapes = ((axes, params[name].shape) for name, axes in cell.parameters.items())
    widths = {shape[axes.index(axis)] for axes, shape in shapes if axis in axes and len(axes) == len(shape)}
    fits = widths == {embedding.shape[1]}
    return np.abs(embedding.astype(np.float64)).max(axis=0) if fits else None
