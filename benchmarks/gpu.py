"""The ``triton`` backend on a CUDA GPU, beside cuDNN's ``nn.LSTM`` and ``nn.GRU``: forward and backward.

    python benchmarks/gpu.py [--dtype float32 bfloat16] [--tf32] [--units 64 256 1024] [--batch 16 128]
                             [--steps 100] [--rounds 20] [--kernels auto persistent stepwise]

First every result is checked against the eager backend in float64, then interleaved rounds are timed with
CUDA events.  A line gives the time over cuDNN's: the median of the rounds' ratios, and their quartiles.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import codegen

PEERS = {"lstm": nn.LSTM, "gru": nn.GRU, "pseudo-lstm": nn.LSTM, "peephole-lstm": nn.LSTM, "vanilla": nn.RNN}
"""Each cell beside the vendor's kernel that costs about as much; the article's GRU has two products in a row
where cuDNN's has one, so that its ratio is not one of equals."""

TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 5e-2}
TF32 = 5e-3


@dataclass(frozen=True)
class Shape:
    """What is run: T steps of B sequences, input and state of n."""

    dtype: torch.dtype
    units: int
    batch: int
    steps: int

    def __str__(self) -> str:
        name = str(self.dtype).removeprefix("torch.")
        return f"{name:9} n={self.units:<5} B={self.batch:<4} T={self.steps:<4}"


def once(layer: nn.Module, x: Tensor, weight: Tensor) -> list[Tensor]:
    """Forward and backward; the outputs and the gradients of inputs and parameters."""
    output, _ = layer(x)
    return [output, *torch.autograd.grad(output, [x, *layer.parameters()], weight)]


def force(layer: nn.Module, kernels: str) -> None:
    """Let a triton layer run one kind of kernels; ``auto`` leaves the choice to it."""
    module: Any = sys.modules[type(layer.get_submodule("l0")).__module__]
    module.KERNELS = kernels


def problem(shape: Shape) -> tuple[Tensor, Tensor]:
    generator = torch.Generator(device="cuda").manual_seed(0)
    size = (shape.steps, shape.batch, shape.units)
    x, weight = (torch.randn(size, generator=generator, device="cuda", dtype=shape.dtype) for _ in range(2))
    return x.requires_grad_(), weight


def error(name: str, layer: nn.Module, shape: Shape) -> float:
    """The largest difference to eager in float64, as a share of the largest value of each tensor."""
    x, weight = problem(shape)
    exact = codegen.build(name, shape.units, shape.units, backend="eager", device="cuda", dtype=torch.float64)
    exact.load_state_dict(layer.state_dict())
    right = once(exact, x.detach().double().requires_grad_(), weight.double())
    worst = 0.0
    for _ in range(3):  # the first run is no graph yet, the second is recorded, the third replayed
        pairs = zip(once(layer, x, weight), right, strict=True)
        worst = max(worst, *(float((a - b).abs().max() / b.abs().max().clamp(min=1)) for a, b in pairs))
    return worst


def milliseconds(run: Callable[[], Any]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    run()
    end.record()
    end.synchronize()
    return start.elapsed_time(end)


def ratios(mine: Callable[[], Any], theirs: Callable[[], Any], rounds: int) -> tuple[list[float], float]:
    """The ratio of each round, which of the two goes first taking turns, and the median time of theirs."""
    for run in (mine, theirs) * 3:
        run()
    found, times = [], []
    for index in range(rounds):
        if index % 2:
            a, b = milliseconds(mine), milliseconds(theirs)
        else:
            b, a = milliseconds(theirs), milliseconds(mine)
        found.append(a / b)
        times.append(b)
    return found, statistics.median(times)


def shapes(options: argparse.Namespace) -> Iterator[Shape]:
    for name in options.dtype:
        for units in options.units:
            for batch in options.batch:
                yield Shape(getattr(torch, name), units, batch, options.steps)


def measured(shape: Shape, name: str, kernels: str, options: argparse.Namespace) -> bool:
    """Print one line; False if the results are wrong, which are then not timed."""
    x, weight = problem(shape)
    sizes = shape.units, shape.units
    peer = PEERS[name](*sizes, device="cuda", dtype=shape.dtype)
    layer = codegen.build(name, *sizes, backend="triton", device="cuda", dtype=shape.dtype)
    force(layer, kernels)
    off = error(name, layer, shape)
    allowed = TF32 if options.tf32 and shape.dtype == torch.float32 else TOLERANCE[shape.dtype]
    head = f"{shape} {name:14} {kernels:10}"
    if not off < allowed:
        print(f"{head} WRONG: off by {off:.1e}", flush=True)
        return False
    found, time = ratios(lambda: once(layer, x, weight), lambda: once(peer, x, weight), options.rounds)
    low, middle, high = statistics.quantiles(found, n=4)
    vendor = f"{PEERS[name].__name__}'s {time:.2f} ms"
    print(f"{head} {middle:.2f} ({low:.2f} to {high:.2f}) times {vendor}; off by {off:.0e}", flush=True)
    return True


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", nargs="+", default=list(PEERS), choices=list(PEERS))
    parser.add_argument(
        "--dtype", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16"]
    )
    parser.add_argument("--tf32", action="store_true", help="let float32 products be TF32, on both sides")
    parser.add_argument("--units", nargs="+", type=int, default=[64, 128, 256, 512, 1024])
    parser.add_argument("--batch", nargs="+", type=int, default=[16, 64, 128])
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--kernels", nargs="+", default=["auto"], choices=["auto", "persistent", "stepwise"])
    options = parser.parse_args()
    if not torch.cuda.is_available():
        print("no CUDA GPU here: nothing is measured", file=sys.stderr)
        return 1
    precision = "tf32" if options.tf32 else "ieee"
    torch.backends.cuda.matmul.fp32_precision = precision
    torch.backends.cudnn.rnn.fp32_precision = precision
    print(f"{torch.cuda.get_device_name()}, torch {torch.__version__}, float32 products in {precision}")
    kept = [
        measured(shape, name, kernels, options)
        for shape in shapes(options)
        for name in options.cells
        for kernels in options.kernels
    ]
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
