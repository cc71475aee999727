"""The elementwise functions of prelude.c: their stated errors, their limits, and partial vectors."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from tests.codegen.native.exports import FUNCTIONS, library

Array = np.ndarray[Any, Any]
WIDTHS = [(), ("CW_VECTOR_BYTES 16",), ("CW_VECTOR_BYTES 64",)]


def _sigmoid(x: Array) -> Array:
    size = np.exp(-np.abs(x))
    return np.where(x < 0, size, 1) / (1 + size)


REFERENCES: dict[str, Callable[[Array], Array]] = {
    "exp": np.exp,
    "expm1": np.expm1,
    "log1p": np.log1p,
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "sqrt": np.sqrt,
    "abs": np.abs,
}
ERRORS = {
    "exp": 1.2e-7,
    "expm1": 2e-7,
    "log1p": 2e-7,
    "tanh": 2e-7,
    "sigmoid": 2e-7,
    "sqrt": 6e-8,
    "abs": 0.0,
}
ERRORS_IN_DOUBLE = {
    "exp": 4e-16,
    "expm1": 4e-16,
    "log1p": 4e-16,
    "tanh": 4e-16,
    "sigmoid": 5e-16,
    "sqrt": 1.2e-16,
    "abs": 0.0,
}


def _apply(name: str, x: Array, *defines: str) -> Array:
    tensor = torch.from_numpy(x)
    y = torch.empty_like(tensor)
    library(tensor.dtype, *defines).call(f"map_{name}", [y, tensor], [], rows=len(x))
    return y.numpy()


def _check(name: str, x: Array, wide: Any, relative: float, *defines: str) -> None:
    """Values against the same function in a wider type: relative error where the result is normal, one
    spacing where it is subnormal, infinities and NaN exactly."""
    y = _apply(name, x, *defines)
    with np.errstate(all="ignore"):
        exact = REFERENCES[name](x.astype(wide))
        rounded = exact.astype(x.dtype)
    finite = np.isfinite(rounded) & np.isfinite(y)
    np.testing.assert_array_equal(y[~finite], rounded[~finite])
    y, exact = y[finite], exact[finite]
    error, size = np.abs(y - exact), np.abs(exact)
    tiny = np.finfo(x.dtype).tiny
    normal = size >= tiny
    worst = np.max(error[normal] / size[normal], initial=0)
    assert worst <= relative, f"{name}: relative error {worst:.3g}"
    # a sigmoid below the smallest normal number may be 0
    spacing = tiny if name == "sigmoid" else np.finfo(x.dtype).smallest_subnormal
    assert np.max(error[~normal], initial=0) <= spacing


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float32_errors_over_the_whole_range(name: str) -> None:
    everywhere = np.arange(0, 2**32, 1531, dtype=np.uint32).view(np.float32)
    from_2_to_minus_14_to_128 = np.arange((127 - 14) << 23, (127 + 7) << 23, 127, dtype=np.uint32)
    dense = from_2_to_minus_14_to_128.view(np.float32)
    _check(name, np.concatenate([everywhere, dense, -dense]), np.float64, ERRORS[name])


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float64_errors(name: str) -> None:
    rng = np.random.default_rng(0)
    anything = rng.integers(0, 2**64, 20_000, dtype=np.uint64).view(np.float64)
    ordinary = rng.normal(0, 3, 30_000)
    near_zero = rng.normal(0, 1, 20_000) * 10.0 ** rng.uniform(-20, 0, 20_000)
    large = rng.uniform(-750, 750, 30_000)
    x = np.concatenate([anything, ordinary, near_zero, large])
    slack = 0.0 if np.finfo(np.longdouble).eps < 1e-18 else 4e-16  # then libm is no better than we are
    _check(name, x, np.longdouble, ERRORS_IN_DOUBLE[name] + slack)


@pytest.mark.parametrize("defines", WIDTHS[1:], ids=str)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_vectors_of_other_widths(name: str, defines: tuple[str, ...]) -> None:
    x = np.random.default_rng(1).normal(0, 4, 20_011).astype(np.float32)
    _check(name, x, np.float64, ERRORS[name], *defines)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("exp", [np.nan, np.inf, 0.0, 1.0, 1.0]),
        ("expm1", [np.nan, np.inf, -1.0, 0.0, -0.0]),
        ("log1p", [np.nan, np.inf, np.nan, 0.0, -0.0]),
        ("tanh", [np.nan, 1.0, -1.0, 0.0, -0.0]),
        ("sigmoid", [np.nan, 1.0, 0.0, 0.5, 0.5]),
        ("sqrt", [np.nan, np.inf, np.nan, 0.0, -0.0]),
        ("abs", [np.nan, np.inf, np.inf, 0.0, 0.0]),
    ],
)
def test_limits_and_signs_of_zero(name: str, expected: list[float], dtype: type) -> None:
    y = _apply(name, np.array([np.nan, np.inf, -np.inf, 0.0, -0.0], dtype=dtype))
    np.testing.assert_array_equal(y, np.array(expected, dtype=dtype))
    np.testing.assert_array_equal(np.signbit(y[3:]), np.signbit(expected[3:]))


def test_log1p_at_its_pole() -> None:
    x = np.array([-1.0, np.nextafter(np.float32(-1), np.float32(-2)), -2.0], dtype=np.float32)
    np.testing.assert_array_equal(_apply("log1p", x), [-np.inf, np.nan, np.nan])


@pytest.mark.parametrize(
    ("dtype", "defines"),
    [
        (torch.float32, WIDTHS[0]),
        (torch.float64, WIDTHS[0]),
        (torch.float32, WIDTHS[1]),
        (torch.float32, WIDTHS[2]),
    ],
)
def test_partial_vectors_touch_their_lanes_only(dtype: torch.dtype, defines: tuple[str, ...]) -> None:
    lib = library(dtype, *defines)
    lanes = lib.size("lanes")
    for count in range(lanes + 1):
        source, target = torch.arange(1, lanes + 1, dtype=dtype), torch.full((lanes,), -7.0, dtype=dtype)
        lib.call("copy_part", [target, source], [count])
        assert target.tolist() == [*source[:count].tolist(), *[-7.0] * (lanes - count)]
