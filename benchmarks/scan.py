"""A gated unit whose gates do not read the state, over a long sequence: what a linear recurrence is worth.

The naive loop, every backend that runs here and the chunked scan (what the `scan` backend does where there is
no C compiler, and on a GPU) take turns in one process with the same weights.  Two cells: the minimal gated
unit without its recurrent matrices, half of whose time is that of its products with the input; and the same
with one weight a unit in place of each input matrix, which leaves the recurrence.  Prints medians, and how
many times each is as fast as the eager loop and the naive loop within the rounds: median [quartiles].

    python benchmarks/scan.py [--time T] [--batch B] [--units N] [--features M] [--rounds N] [--threads N]
"""

from __future__ import annotations

import argparse
import statistics

from torch import Tensor

from codegen.backends.scan import BACKEND
from codegen.benchmarking.contender import Contender, input_of
from codegen.benchmarking.machine import in_words, machine, threads
from codegen.benchmarking.ours import equation_parameters, in_backends, layer_of, naive
from codegen.benchmarking.setting import Setting
from codegen.benchmarking.timing import interleave, ratios
from codegen.generated import Generated, become, lowered
from codegen.load import load
from codegen.writing.names import class_name
from derive import Cell, Input, Parameter, State, Vector, affine_parameters, sigmoid, tanh

CHUNKED, EAGER = "chunked scan", "eager"


def cells() -> tuple[Cell, Cell]:
    """With input matrices, and with a weight a unit instead."""
    s, f, s_tilde = State("s"), Vector("f"), Vector("s_tilde")
    x, u = Input("x"), Input("u", "n")
    _, matrix, b = affine_parameters()
    _, matrix_f, b_f = affine_parameters("f")
    p, p_f = Parameter("p", "n"), Parameter("p_f", "n")
    state = (1 - f) * s.prev + f * s_tilde
    whole = {f: sigmoid(matrix_f @ x + b_f), s_tilde: tanh(matrix @ x + b), s: state}
    alone = {f: sigmoid(p_f * u + b_f), s_tilde: tanh(p * u + b), s: state}
    return Cell("linear-mgu", whole, output=s), Cell("diagonal-linear-mgu", alone, output=s)


def chunked(cell: Cell, setting: Setting) -> Contender:
    """The layer that `codegen.emit(cell, "scan")` gives."""
    source = BACKEND.emit(lowered(cell))
    module, title = load(source, f"{cell.name}_chunked"), class_name(cell)
    emitted = Generated("scan", "", source, getattr(module, title), getattr(module, f"{title}Cell"))
    layer = layer_of(cell, setting)
    become(layer.get_submodule("l0"), emitted)

    def run(x: Tensor) -> tuple[Tensor, ...]:
        output, state = layer(x)
        assert isinstance(state, Tensor)
        return output, state[0]

    return Contender(CHUNKED, run, input_of(setting, layer.input_size), equation_parameters(layer), setting)


def measure(cell: Cell, setting: Setting, rounds: int) -> None:
    """Print a table for a cell."""
    eager = layer_of(cell, setting)
    found, skipped = in_backends(cell, setting, eager)
    contenders = [naive(cell, setting, eager), *found, chunked(cell, setting)]
    expected = next(c for c in contenders if c.name == EAGER).results()
    times = interleave({c.name: c for c in contenders}, rounds, clock=setting.clock)
    print(f"\n{cell}\n{setting}")
    for contender in contenders:
        results = contender.results()
        scale = {key: max(float(value.abs().max()), 1e-30) for key, value in expected.items()}
        error = max(
            float((results[k] - v).abs().max()) / scale[k] for k, v in expected.items() if k in results
        )
        own = times[contender.name]
        print(
            f"{contender.name:14} {statistics.median(own) * 1e3:8.1f} ms, least {min(own) * 1e3:8.1f}; "
            f"{ratios(times[EAGER], own)} times as fast as eager, "
            f"{ratios(times['naive loop'], own)} as the naive loop; differs from eager by {error:.0e}"
        )
    for name, why in skipped.items():
        print(f"without {name}: {why}")


def main() -> None:
    """Both cells, on one thread unless told otherwise."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name, default in (("time", 4096), ("batch", 8), ("units", 256), ("features", 256), ("rounds", 20)):
        parser.add_argument(f"--{name}", type=int, default=default, metavar="N")
    parser.add_argument("--threads", type=int, default=1, metavar="N")
    parser.add_argument("--device", default="cpu")
    parser.add_argument(
        "--cpu-time", action="store_true", help="count processor time: steadier on a busy machine"
    )
    parser.add_argument("--forward-only", action="store_true")
    given = parser.parse_args()
    setting = Setting(
        time=given.time,
        batch=given.batch,
        units=given.units,
        features=given.features,
        device=given.device,
        forward_only=given.forward_only,
        input_gradient=False,
        cpu_time=given.cpu_time,
    )
    with threads(given.threads):
        print(in_words(machine(given.device)))
        for cell in cells():
            measure(cell, setting, given.rounds)


if __name__ == "__main__":
    main()
