"""One training step of a language model of Penn Treebank's size: embedding, layer, softmax, gradients, Adam.

Four ways take turns in one process, on the same random words: the naive loop (a product for every matrix and
step) and `nn.LSTM`, both with the plain softmax and the plain Adam; `nn.LSTM` and the cell as `codegen.build`
makes it, both with the loss and the optimizer of `cellwright train`.  Prints the medians of each way's parts,
and the ratios within the rounds: median [quartiles].

    python benchmarks/ptb_step.py [CELL] [--backend NAME] [--rounds N] [--threads N] …
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import codegen
import derive
from codegen.benchmarking.machine import in_words, machine, threads
from codegen.benchmarking.memory import MEANING, peak_memory
from codegen.benchmarking.naive import naive_loop
from codegen.benchmarking.timing import interleave, ratios
from codegen.training.cross_entropy import linear_cross_entropy
from codegen.training.model import LanguageModel, State, detach, largest
from codegen.training.run import adam

NAIVE, LSTM, LSTM_OURS = "naive loop, plain", "nn.LSTM, plain", "nn.LSTM, train's loss"
RATE = 1e-3  # the article's
PARTS = ("embedding", "layer", "softmax", "Adam", "accounts")


def plain_loss(features: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    """All logits at once."""
    return F.cross_entropy(F.linear(features, weight, bias), targets)


class PlainModel(LanguageModel):
    """The model with the plain loss."""

    def loss(self, tokens: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """As in `LanguageModel`."""
        logits, state = self(tokens, state)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten()), state


def plain_adam(model: nn.Module, rate: float) -> torch.optim.Adam:
    """One weight after the other, one operation after the other."""
    return torch.optim.Adam(model.parameters(), rate, foreach=False)


class NaiveLayer(nn.Module):
    """The naive loop with the interface of the other layers."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.loop = naive_loop(layer.cell, layer.equation_parameters())
        self.sizes = [layer.sizes[layer.cell.axes(state)[0]] for state in layer.cell.states]

    def forward(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """x (T, B, m) and states (1, B, n) -> outputs (T, B, n) and the last states."""
        given = (state,) if isinstance(state, Tensor) else state
        states = [s[0] for s in given] if given else [x.new_zeros(x.shape[1], size) for size in self.sizes]
        output, *states = self.loop(x, *states)
        return output, tuple(s[None] for s in states)


@dataclass
class Way:
    """A model with its optimizer, and the state that it carries from step to step.

    ``loss`` is the part of `model.loss` behind the layer.
    """

    model: LanguageModel
    loss: Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]
    optimizer: torch.optim.Optimizer
    with_peak: bool
    state: State | None = None
    seconds: dict[str, list[float]] = field(default_factory=lambda: {part: [] for part in PARTS})

    def step(self, tokens: Tensor, targets: Tensor) -> float:
        """The step as in `codegen.training.run.Run`; returns the loss."""
        self.optimizer.zero_grad()
        loss, state = self.model.loss(tokens, targets, self.state)
        loss.backward()
        self.optimizer.step()
        return self._account(loss, state)

    def step_by_part(self, tokens: Tensor, targets: Tensor) -> None:
        """The same step, cut up in order to time its parts."""
        lap = dict.fromkeys(PARTS, 0.0)
        with timed(lap, "Adam"):
            self.optimizer.zero_grad()
        with timed(lap, "embedding"):
            words = self.model.embedding(tokens)
        x = words.detach().requires_grad_()
        with timed(lap, "layer"):
            output, state = self.model.layer(x, self.state)
        features = output.detach().requires_grad_()
        with timed(lap, "softmax"):
            decoder = self.model.decoder
            loss = self.loss(features.flatten(0, 1), decoder.weight, decoder.bias, targets.flatten())
            loss.backward()
        with timed(lap, "layer"):
            output.backward(features.grad)
        with timed(lap, "embedding"):
            words.backward(x.grad)
        with timed(lap, "Adam"):
            self.optimizer.step()
        with timed(lap, "accounts"):
            self._account(loss, state)
        for part, seconds in lap.items():
            self.seconds[part].append(seconds)

    def _account(self, loss: Tensor, state: State) -> float:
        self.state = detach(state)
        if not self.with_peak:
            return loss.item()
        return torch.stack((loss.detach(), largest(state))).tolist()[0]


@contextmanager
def timed(lap: dict[str, float], part: str) -> Iterator[None]:
    """Adds the seconds inside to a part's."""
    begin = time.perf_counter()
    yield
    lap[part] += time.perf_counter() - begin


def ways(cell: derive.Cell, backend: str, units: int, vocabulary: int) -> tuple[dict[str, Way], str]:
    """The contenders, of the same initial weights where they have the same, and a sentence about the last."""
    torch.manual_seed(0)
    layer = codegen.build(cell, units, units, backend=backend)
    first = LanguageModel(layer, vocabulary, units, units)

    def way(layer: Any, *, plain: bool) -> Way:
        model = (PlainModel if plain else LanguageModel)(layer, vocabulary, units, units)
        model.embedding.load_state_dict(first.embedding.state_dict())
        model.decoder.load_state_dict(first.decoder.state_dict())
        if plain:
            return Way(model, plain_loss, plain_adam(model, RATE), with_peak=False)
        return Way(model, linear_cross_entropy, adam(model, RATE), with_peak=True)

    ours = f"{cell.name} by {layer.options.backend}"
    found = {
        NAIVE: way(NaiveLayer(layer), plain=True),
        LSTM: way(nn.LSTM(units, units), plain=True),
        LSTM_OURS: way(nn.LSTM(units, units), plain=False),
        ours: way(layer, plain=False),
    }
    return found, f"{ours}: {layer.options.why}"


def check(naive: Way, ours: Way, tokens: Tensor, targets: Tensor) -> None:
    """No time for a wrong result: three steps of both have the same losses."""
    losses = [[way.step(tokens, targets) for _ in range(3)] for way in (naive, ours)]
    if not torch.allclose(*torch.tensor(losses), rtol=1e-4, atol=0):
        raise SystemExit(f"the naive loop's losses are {losses[0]} and ours {losses[1]}: not the same model")


def softmax_products(rows: int, units: int, vocabulary: int) -> Callable[[], object]:
    """The three matrix products of the softmax layer into memory that is there, rows on whole cache lines."""
    wide = -(-units // 16) * 16
    features, weight = torch.randn(rows, wide), torch.randn(vocabulary, wide)
    logits, of_features, of_weight = torch.empty(rows, vocabulary), features.clone(), weight.clone()

    def run() -> None:
        torch.mm(features[:, :units], weight[:, :units].T, out=logits)
        torch.mm(logits, weight, out=of_features)
        torch.mm(logits.T, features, out=of_weight)

    return run


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("cell", nargs="?", default="pseudo-lstm", help="a name in the catalogue")
    parser.add_argument("--backend", default="auto")
    sizes = {"rounds": 20, "threads": 1, "batch": 30, "time": 30, "units": 250, "words": 10_000}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value, help=f"default {value}")
    given = parser.parse_args()
    with threads(given.threads):
        report(given)


def report(given: argparse.Namespace) -> None:
    """Measures and prints."""
    contenders, about = ways(derive.cell(given.cell), given.backend, given.units, given.words)
    *_, ours = contenders
    torch.manual_seed(1)
    tokens, targets = torch.randint(given.words, (2, given.time, given.batch))
    check(contenders[NAIVE], contenders[ours], tokens, targets)
    runs = {name: lambda way=way: way.step(tokens, targets) for name, way in contenders.items()}
    by_part = {
        f"parts of {name}": lambda way=way: way.step_by_part(tokens, targets)
        for name, way in contenders.items()
    }
    products = softmax_products(given.time * given.batch, given.units, given.words)
    times = interleave({**runs, **by_part, "products": products}, given.rounds)

    print(in_words(machine()))
    print(f"{about}; B={given.batch}, T={given.time}, n=m={given.units}, V={given.words}, float32")
    print(f"{'ms':24}", *(f"{part:>9}" for part in ("step", *PARTS, "peak MB")), f" {NAIVE} ÷ this")
    for name, way in contenders.items():
        figures = [median_ms(seconds[-given.rounds :]) for seconds in (times[name], *way.seconds.values())]
        figures.append(peak_memory(runs[name]) / 1e6)
        print(
            f"{name:24}", *(f"{figure:9.1f}" for figure in figures), f" {ratios(times[NAIVE], times[name])}"
        )
    print(f"{LSTM} ÷ {ours}: {ratios(times[LSTM], times[ours])}")
    print(f"{LSTM_OURS} ÷ {ours}: {ratios(times[LSTM_OURS], times[ours])}")
    print(f"the three bare matrix products of the softmax: {median_ms(times['products']):.1f} ms")
    print(f"ms: medians of {given.rounds} rounds; ÷: median of the rounds' ratios [quartiles]; {MEANING}")


def median_ms(seconds: list[float]) -> float:
    """The median, in milliseconds."""
    return 1e3 * statistics.median(seconds)


if __name__ == "__main__":
    main()
