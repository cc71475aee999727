"""One number of threads for torch and for NumPy's linear algebra."""

import subprocess
import sys

CODE = """
import torch, numpy
from threadpoolctl import threadpool_info
from codegen.threads import set_threads
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
