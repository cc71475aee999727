"""One number of threads for torch and for NumPy's linear algebra; the precision of products."""

import subprocess
import sys

import pytest
import torch

from codegen.computing import matmul_precision

CODE = """
import torch, numpy
from threadpoolctl import threadpool_info
from codegen.computing import set_threads
numpy.linalg.svd(numpy.eye(3))
for count in (2, 1):
    set_threads(count)
    blas = {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}
    print(torch.get_num_threads(), *blas)
"""


def test_torch_and_blas_keep_to_it() -> None:
    """In a process of its own, whose environment allows more."""
    environment = {"OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4", "PATH": "/usr/bin:/bin"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["2 2", "1 1"]


@pytest.mark.parametrize(("tf32", "expected"), [(True, "high"), (False, "highest")])
def test_precision_of_products_is_put_back(tf32: bool, expected: str) -> None:
    torch.set_float32_matmul_precision("medium")
    try:
        with matmul_precision(tf32):
            assert torch.get_float32_matmul_precision() == expected
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
