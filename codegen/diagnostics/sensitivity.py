"""How much a change of the state at step t matters at step t + k: norms of products of Jacobians."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from codegen.errors import ConfigError

Array = np.ndarray[Any, Any]


LAGS = (1, 2, 4, 8, 16, 32)
"""The numbers of steps k that are measured, as far as a run is that long."""


def check_lags(lags: Iterable[int] | None, steps: int) -> tuple[int, ...]:
    """The lags in rising order, 1 among them: by default those of `LAGS` up to ``steps``.

    Raises ConfigError for a lag that is not from 1 to ``steps``.
    """
    found = sorted({1, *(lags if lags is not None else (k for k in LAGS if k <= steps))})
    wrong = [lag for lag in found if not isinstance(lag, int) or not 1 <= lag <= steps]
    if wrong:
        raise ConfigError(
            f"a lag of {wrong[0]!r} steps; expected whole numbers from 1 to {steps}, the steps measured"
        )
    return tuple(found)


def window_products(jacobians: Iterable[Array], lags: Collection[int]) -> Iterator[tuple[int, Array]]:
    """``(k, J_{t+k} … J_{t+1})`` for every lag k, at t = 0, k, 2k, …: windows side by side.

    A window of k steps is put together from finished windows of the largest lag that divides k, so that
    lags 1, 2, 4, … cost about one product of matrices a step together, and no Jacobian is kept.
    """
    whole = sorted({1, *lags})
    parts = {k: max(j for j in whole if j < k and k % j == 0) for k in whole[1:]}
    open_windows: dict[int, Array] = {}
    for end, jacobian in enumerate(jacobians, 1):
        finished = {1: jacobian}
        for k, part in parts.items():
            if part in finished:
                before = open_windows.pop(k, None)
                window = finished[part] if before is None else finished[part] @ before
                (finished if end % k == 0 else open_windows)[k] = window
        yield from ((k, finished[k]) for k in lags if k in finished)


def matrix_norm(matrix: Array, norm: Any) -> float:
    """The 2-norm (``norm`` 2) or else the ∞-norm; infinite where the matrix is not finite.

    The 2-norm is exact up to rounding: the root of the largest eigenvalue of AᵀA, which takes about half the
    time of a singular value decomposition.  Squaring spoils small singular values alone.
    """
    scale = float(np.abs(matrix).max(initial=0.0))
    if not math.isfinite(scale):
        return math.inf
    if norm != 2 or scale == 0:
        return float(np.abs(matrix).sum(axis=1).max(initial=0.0))
    scaled = matrix / scale  # lest squares overflow or vanish
    return scale * math.sqrt(np.linalg.eigvalsh(scaled.T @ scaled)[-1])
