"""A study that nobody ran: made-up but plausible losses of the article's eight cells."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from dataclasses import replace

from codegen.study.protocol import Data, Design, Protocol, Published, PublishedLoss, Value
from codegen.study.results import Epoch, Outcome, Results, Trial

BATCHES = 81
FACTORS = ("diff 1", "diff 2", "diff 3")
LEVELS = {
    "pseudo-lstm": (0, 0, 0),
    "pseudo-lstm-d1": (1, 0, 0),
    "pseudo-lstm-d12": (1, 1, 0),
    "pseudo-lstm-d13": (1, 0, 1),
    "pseudo-lstm-d2": (0, 1, 0),
    "pseudo-lstm-d23": (0, 1, 1),
    "pseudo-lstm-d3": (0, 0, 1),
    "lstm": (1, 1, 1),
}
PUBLISHED = {
    0.003: (433.7, 430.6, 390.3, 424.5, 389.0, 399.1, 425.7, 396.2),
    0.001: (387.2, 388.6, 388.7, 414.3, 386.0, 396.3, 413.9, 396.6),
    0.0003: (389.2, 391.1, 391.3, 407.9, 388.8, 397.7, 408.7, 398.8),
    0.0001: (403.9, 403.9, 404.2, 419.7, 403.1, 416.8, 419.9, 418.1),
}
ABOUT = {
    "cellwright": "0.1.0",
    "torch": "2.9.0",
    "python": "3.12.1",
    "backend": "fused",
    "device": "cpu",
    "host": "made-up",
    "data_sha256": "0123456789abcdef" * 4,
}


def study(
    rates: tuple[float, ...] = (0.003, 0.001, 0.0003, 0.0001),
    cells: tuple[str, ...] = tuple(LEVELS),
    seeds: int = 5,
    *,
    epochs: int = 10,
    measured: bool = True,
) -> Results:
    """Every trial finished but one a rate above 0.001, which diverged, and the last, which failed."""
    losses = tuple(
        PublishedLoss({"cell": cell, "learning_rate": rate}, loss, 0.8)
        for rate in rates
        for cell, loss in zip(LEVELS, PUBLISHED[rate], strict=True)
        if cell in cells
    )
    protocol = Protocol(
        name="made-up",
        title="Eight cells, four <learning rates>",
        grid={"cell": cells, "learning_rate": rates, "seed": tuple(range(seeds))},
        training={"hidden_size": 250, "initialization": "article", "clip": False},
        data=Data(train_tokens=200_000),
        design=Design(FACTORS, LEVELS),
        published=Published("a table & its footnotes", max(seeds, 2), losses),
        note="Reduced to 200,000 tokens of training text.",
        diagnostics=measured,
    )
    trials = [_trial(number, point, epochs, measured) for number, point in enumerate(protocol.points())]
    fast = [rate for rate in rates if rate > 0.001]
    for k, trial in enumerate(trials):
        options = trial.options
        if options["learning_rate"] in fast and options["cell"] == cells[0] and options["seed"] == 1:
            trials[k] = replace(
                trial, outcome=Outcome.DIVERGED, epochs=trial.epochs[:3], message="the loss became infinite"
            )
    trials[-1] = replace(
        trials[-1], outcome=Outcome.FAILED, epochs=(), attempts=3, message="OSError: no space left on <disk>"
    )
    return Results(protocol, tuple(trials))


def _trial(number: int, point: Mapping[str, Value], epochs: int, measured: bool) -> Trial:
    draw = random.Random(number)
    cell, rate, seed = str(point["cell"]), float(point["learning_rate"]), point["seed"]
    floor = PUBLISHED[rate][list(LEVELS).index(cell)] + draw.gauss(1.0, 0.9)
    speed = {0.003: 1.1, 0.001: 0.8, 0.0003: 0.6, 0.0001: 0.45}[rate]
    history = []
    for epoch in range(1, epochs + 1):
        overfit = 0.4 * max(0, epoch - 8 + 2 * math.log10(rate / 0.001)) ** 2
        loss = round(floor + 120 * math.exp(-speed * epoch) + overfit + draw.gauss(0, 0.3), 3)
        found = _measured(cell, epoch, draw) if measured else {}
        nats = loss / BATCHES
        history.append(Epoch(epoch, nats * 0.97, nats, loss, 3.0 + epoch, 61.5 * epoch, found))
    command = f"cellwright train {cell} --learning-rate {rate:g} --seed {seed}"
    return Trial(
        options=point,
        outcome=Outcome.FINISHED,
        epochs=tuple(history),
        number=number,
        attempts=1,
        run_directory=f"runs/{number:04}",
        about={**ABOUT, "command": command},
    )


def _measured(cell: str, epoch: int, draw: random.Random) -> dict[str, float | None]:
    bounded = LEVELS[cell][1]
    growth = (0.9 if bounded else 1.02) - 0.004 * list(LEVELS).index(cell)
    mean = growth * (1 + 0.01 * epoch) + draw.gauss(0, 0.01)
    found: dict[str, float | None] = {
        "bound": 4.0 + 0.5 * epoch if bounded else (None if epoch > 6 else 9.0 + 2.0 * epoch),
        "rate": 1.0 + 0.2 * epoch,
        "jacobian_mean": mean,
        "jacobian_max": 1.6 * mean,
        "state_norm": 6.0 + epoch * (1 if bounded else 3),
        "state_max": 2.0 + epoch,
    }
    found |= {
        f"sensitivity_{lag}": (growth * (0.93 + 0.003 * epoch)) ** lag for lag in (1, 2, 4, 8, 16, 32, 64)
    }
    for gate in ("i", "f", "o"):
        found[f"saturation_low_{gate}"] = min(1.0, 0.03 * epoch + abs(draw.gauss(0, 0.02)))
        found[f"saturation_high_{gate}"] = min(1.0, 0.05 * epoch * (gate == "f") + 0.01)
    return found
