"""One GRU step without input: orthogonal matrices, zero biases, ∞-norm, states in [-1, 1].

Prints, as the maximum over seeds of ``nn.init.orthogonal_``, the bound for the weights, that in the norms
alone, and the best attack over states.  To compare with, at n = 8 and 16: an attack of 1.96 and 2.5,
auto_LiRPA's CROWN bound of 8.4 and 16.4, interval arithmetic 5.4 and 8.7.

    python benchmarks/gru_step.py [SEEDS] [SEEDS TO ATTACK]
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch

import derive
from codegen.attack import attack, symbolic_value


def orthogonal_gru(n: int, seed: int) -> dict[str, np.ndarray]:
    """Recurrent matrices of ``nn.init.orthogonal_``; input matrices and biases are 0."""
    torch.manual_seed(seed)
    params = {}
    for name, axes in derive.cell("gru").parameters.items():
        drawn = torch.zeros([n if axis == "n" else 1 for axis in axes], dtype=torch.float64)
        params[name] = (torch.nn.init.orthogonal_(drawn) if axes == ("n", "n") else drawn).numpy()
    return params


def main(seeds: int = 20, attacked: int = 3) -> None:
    """One line for n = 8 and one for n = 16."""
    bound = derive.bound("gru", "inf", inputs=0)
    for n in (8, 16):
        drawn = [orthogonal_gru(n, seed) for seed in range(seeds)]
        start = time.perf_counter()
        for_weights = [bound.evaluate(params) for params in drawn]
        seconds = (time.perf_counter() - start) / seeds
        norms = [{k: abs(v.reshape(len(v), -1)).sum(axis=1).max() for k, v in p.items()} for p in drawn]
        symbolic = [symbolic_value(bound, each, {"n": n}) for each in norms]
        attacks = [attack(bound, params=p, restarts=100, steps=200).value for p in drawn[:attacked]]
        print(
            f"n = {n}: for the weights {max(for_weights):.3f} ({seconds:.2f} s each), "
            f"in the norms {max(symbolic):.3f}, best attack on seeds below {attacked}: {max(attacks):.3f}"
        )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:3]))
