"""Training steps in lockstep and one at a time: whether the numbers are the same, and how long a step takes.

    python benchmarks/lockstep.py [--cell lstm] [--trials 20] [--units 250] [--vocabulary 10000]
                                  [--steps 10] [--rounds 5] [--device cuda|cpu] [--threads 1]

First models of different seeds and rates take the same steps on the same random words in both ways, in
float32; printed is the largest difference of their losses. Then the ways take turns, and printed are the
median time of one model's step and, within the rounds, the ratio to the first way: median [quartiles]. On a
GPU lockstep is a CUDA graph, with float32 products in full and in TF32; one at a time is the layer that
`codegen.build` chooses, and the eager layer, which lockstep batches.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

import codegen
from codegen.benchmarking.machine import in_words, machine, threads
from codegen.benchmarking.timing import interleave, ratios
from codegen.training import LanguageModel, initialize
from codegen.training.gradients.blocks import backpropagate
from codegen.training.lockstep.stacked import StackedModel
from codegen.training.lockstep.step import WARMUP, GraphedStep, Step
from codegen.training.model import State
from codegen.training.run import adam

Text = Sequence[tuple[Tensor, Tensor]]
RATES = (3e-3, 1e-3, 3e-4, 1e-4)  # the article's


def models(options: argparse.Namespace, backend: str, count: int) -> list[LanguageModel]:
    """Of the seeds 0, 1, …"""
    found = []
    for seed in range(count):
        layer = codegen.build(options.cell, options.units, options.units, backend=backend)
        model = LanguageModel(layer, options.vocabulary, options.units, options.units).to(options.device)
        initialize(model, seed=seed)
        found.append(model)
    return found


class Alone:
    """Models that take their steps one after the other, as `train` does."""

    def __init__(self, options: argparse.Namespace, backend: str, count: int) -> None:
        self.models = models(options, backend, count)
        layer: Any = self.models[0].layer
        self.name = f"one at a time, {layer.options.backend}"
        self.optimizers = [adam(model, RATES[i % len(RATES)]) for i, model in enumerate(self.models)]
        self.states: list[State | None] = [None] * count

    def run(self, text: Text) -> Tensor:
        """The losses of all steps, shape (steps, models)."""
        return torch.stack([torch.stack(self._step(*window)) for window in text])

    def _step(self, inputs: Tensor, targets: Tensor) -> list[Tensor]:
        losses = []
        for i, (model, optimizer) in enumerate(zip(self.models, self.optimizers, strict=True)):
            optimizer.zero_grad()
            taken = backpropagate(model, inputs, targets, self.states[i])
            optimizer.step()
            self.states[i] = taken.carry
            losses.append(taken.loss)
        return losses


class Together:
    """The same models in lockstep."""

    def __init__(self, options: argparse.Namespace, count: int, precision: str) -> None:
        self.models = models(options, "eager", count)
        self.name = "lockstep, TF32" if precision == "high" else "lockstep"
        self.precision = precision
        optimizers = [adam(model, RATES[i % len(RATES)]) for i, model in enumerate(self.models)]
        step = Step(StackedModel(self.models), self.models, optimizers, clip=None)
        self.step = GraphedStep(step) if options.device == "cuda" else step
        self.state: State | None = None

    def run(self, text: Text) -> Tensor:
        """As of `Alone`."""
        losses = []
        before = torch.get_float32_matmul_precision()
        torch.set_float32_matmul_precision(self.precision)
        for inputs, targets in text:
            values, self.state = self.step(inputs, targets, self.state)
            losses.append(values[:, 0])
        torch.set_float32_matmul_precision(before)
        return torch.stack(losses)


def random_text(options: argparse.Namespace, steps: int) -> Text:
    """Windows of random words, 30 rows by 30 steps as in the article."""
    generator = torch.Generator().manual_seed(0)
    found = []
    for _ in range(steps):
        window = torch.randint(options.vocabulary, (31, 30), generator=generator).to(options.device)
        found.append((window[:-1], window[1:]))
    return found


def timed(ways: Sequence[Alone | Together], text: Text, options: argparse.Namespace) -> None:
    """Print a line for each way."""
    wait: Callable[[], None] = torch.cuda.synchronize if options.device == "cuda" else lambda: None
    runs = {way.name: lambda way=way: way.run(text) for way in ways}
    found = interleave(runs, options.rounds, warmup=1, wait=wait)
    first = found[ways[0].name]
    for way in ways:
        each = statistics.median(found[way.name]) / len(text) / len(way.models)
        against = ratios(
            [seconds / len(way.models) for seconds in found[way.name]],
            [seconds / len(ways[0].models) for seconds in first],
        )
        print(
            f"{way.name:24} {1000 * each:9.2f} ms a model and step; {against} times the first way", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cell", default="lstm")
    parser.add_argument("--trials", type=int, default=20, help="models in lockstep")
    parser.add_argument("--units", type=int, default=250)
    parser.add_argument("--vocabulary", type=int, default=10_000)
    parser.add_argument("--steps", type=int, default=10, help="of each way in each round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument(
        "--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cuda", "cpu"]
    )
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    precisions = ["highest", "high"] if options.device == "cuda" else ["highest"]
    with threads(options.threads):
        print(in_words(machine(options.device)))
        together = [Together(options, options.trials, precision) for precision in precisions]
        text = random_text(options, WARMUP + options.steps)
        expected = Alone(options, "eager", options.trials).run(text)
        for way in together:
            error = float((way.run(text) - expected).abs().max())
            print(f"{way.name}: losses within {error:.1e} nats of those one at a time, {len(text)} steps")
        # One model is enough to time one at a time.
        alone = [Alone(options, backend, 1) for backend in ("auto", "eager")]
        timed([*alone, *together], text[WARMUP:], options)


if __name__ == "__main__":
    main()
