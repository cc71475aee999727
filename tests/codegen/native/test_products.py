"""The packed matrix product of products.c against NumPy in float64."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.codegen.native.exports import library, multiply, packed

SIZES = st.one_of(st.integers(0, 40), st.sampled_from([64, 95, 96, 97, 250, 319, 320, 321, 650]))
TILES = [(), ("CW_VECTOR_BYTES 16", "CW_ROWS 12"), ("CW_VECTOR_BYTES 64",)]
UNTOUCHED = -12345.0


def _matrix(
    rng: np.random.Generator, rows: int, columns: int, stride: int, dtype: torch.dtype
) -> torch.Tensor:
    """Random numbers in rows that lie `stride` apart; the gaps hold UNTOUCHED."""
    whole = torch.full((rows, stride), UNTOUCHED, dtype=dtype)
    whole[:, :columns] = torch.from_numpy(rng.normal(size=(rows, columns)))
    return whole


@pytest.mark.parametrize("defines", TILES, ids=str)
@settings(max_examples=40, deadline=None)
@given(
    rows=st.one_of(st.integers(0, 30), st.sampled_from([95, 97, 193, 200])),
    columns=SIZES,
    depth=SIZES,
    gaps=st.tuples(*[st.integers(0, 9)] * 3),
    addend=st.sampled_from(["none", "itself", "another", "one row"]),
    transposed=st.booleans(),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**32 - 1),
)
def test_product_of_any_shape(
    defines: tuple[str, ...],
    rows: int,
    columns: int,
    depth: int,
    gaps: tuple[int, int, int],
    addend: str,
    transposed: bool,
    dtype: torch.dtype,
    seed: int,
) -> None:
    rng = np.random.default_rng(seed)
    lib = library(dtype, *defines)
    shape = (depth, columns) if transposed else (columns, depth)
    weight = torch.from_numpy(rng.normal(size=shape)).to(dtype)
    matrix = weight if transposed else weight.T
    v = _matrix(rng, rows, depth, depth + gaps[0], dtype)
    y = _matrix(rng, rows, columns, columns + gaps[1], dtype)
    other = _matrix(rng, 1 if addend == "one row" else rows, columns, columns + gaps[2], dtype)
    start = {"none": None, "itself": y, "another": other, "one row": other}[addend]
    added = 0 if start is None else start[:, :columns].double().numpy().copy()
    if addend == "one row":
        start = other.expand(rows, -1)

    multiply(lib, y[:, :columns], start, v[:, :depth], packed(lib, weight, transposed=transposed))

    left, right = v[:, :depth].double().numpy(), matrix.double().numpy()
    size = np.abs(added) + np.abs(left) @ np.abs(right)
    error = np.abs(y[:, :columns].double().numpy() - (added + left @ right))
    assert np.all(error <= (depth + 1) * torch.finfo(dtype).eps * size)
    assert torch.all(y[:, columns:] == UNTOUCHED), "written beyond the columns"


@pytest.mark.parametrize("defines", TILES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_are_bitwise_equal_in_whichever_tile(dtype: torch.dtype, defines: tuple[str, ...]) -> None:
    rows, columns, depth = 41, 77, 650
    rng = np.random.default_rng(3)
    lib = library(dtype, *defines)
    weight = torch.from_numpy(rng.normal(size=(columns, depth))).to(dtype)
    v, addend = _matrix(rng, rows, depth, depth, dtype), _matrix(rng, rows, columns, columns, dtype)
    panels = packed(lib, weight)
    whole = torch.empty(rows, columns, dtype=dtype)
    multiply(lib, whole, addend, v, panels)
    for count in range(1, 14):
        for first in (0, 5, rows - count):
            part = torch.empty(count, columns, dtype=dtype)
            multiply(lib, part, addend[first : first + count], v[first : first + count], panels)
            assert torch.equal(part, whole[first : first + count])
    for threads in (2, 3, 8):
        threaded = torch.empty(rows, columns, dtype=dtype)
        multiply(lib, threaded, addend, v, panels, threads=threads)
        assert torch.equal(threaded, whole)


def test_infinities_and_nan_stay_in_their_rows_and_columns() -> None:
    lib = library(torch.float32)
    v, weight = torch.ones(7, 20), torch.ones(37, 20)
    v[2, 3], weight[36, 4] = torch.nan, torch.inf
    y = torch.empty(7, 37)
    multiply(lib, y, None, v, packed(lib, weight))
    expected = torch.full((7, 37), 20.0)
    expected[:, 36] = torch.inf
    expected[2] = torch.nan
    torch.testing.assert_close(y, expected, equal_nan=True)
