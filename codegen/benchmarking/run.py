"""One benchmark of one cell: gather the contenders, compare their results, time those that agree."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from codegen.benchmarking import package_peer, peers
from codegen.benchmarking.agreement import disagreement
from codegen.benchmarking.contender import Contender
from codegen.benchmarking.floor import Floor
from codegen.benchmarking.memory import peak_memory
from codegen.benchmarking.ours import NAIVE, REFERENCE, Skipped, in_backends, layer_of, naive
from codegen.benchmarking.setting import Setting, synchronizer
from codegen.benchmarking.timing import Spread, interleave, ratios
from codegen.errors import CodegenError
from codegen.generated import lowered
from derive.cell import Cell

FLOOR = "floor"


@dataclass(frozen=True)
class Row:
    """What was measured of one contender: the seconds of each round, the peak of memory in bytes."""

    name: str
    about: str
    seconds: list[float]
    memory: int | None = None
    seconds_first: float | None = None

    @property
    def milliseconds(self) -> float:
        """The fastest round."""
        return 1e3 * min(self.seconds)


@dataclass(frozen=True)
class Report:
    """A cell's benchmark.  ``refused``: a wrong result, so no time; ``skipped``: could not take part."""

    cell: Cell
    setting: Setting
    rows: tuple[Row, ...]
    multiply_adds: int
    refused: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def row(self, name: str) -> Row | None:
        """The row of that name."""
        return next((row for row in self.rows if row.name == name), None)

    def ratio(self, name: str, against: str) -> Spread | None:
        """Time ÷ time, round by round; None where one of them was not measured."""
        own, other = self.row(name), self.row(against)
        return ratios(own.seconds, other.seconds) if own and other else None

    @property
    def own_torch_layer(self) -> str | None:
        """torch's layer that computes the cell."""
        return peers.torch_layer_of(self.cell)

    @property
    def baselines(self) -> tuple[str, ...]:
        """Those that ratios are taken against: torch's layers, the naive loop, the floor."""
        wanted = dict.fromkeys([*peers.YARDSTICKS, self.own_torch_layer, NAIVE, FLOOR])
        return tuple(name for name in wanted if name is not None and self.row(name))

    @property
    def gigaflops(self) -> float:
        """Of the floor, in its fastest round: 2 floating-point operations a multiply-add, 10⁹ a second."""
        row = self.row(FLOOR)
        return 2e-9 * self.multiply_adds / min(row.seconds) if row and self.multiply_adds else 0.0

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "cell": self.cell.name,
            **self.setting.to_dict(),
            "floor": {"multiply_adds": self.multiply_adds, "gflops": self.gigaflops},
            "contenders": [self._row_dict(row) for row in self.rows],
            "refused": self.refused,
            "skipped": self.skipped,
        }

    def _row_dict(self, row: Row) -> dict[str, Any]:
        against = {name: self.ratio(row.name, name) for name in self.baselines}
        return {
            "name": row.name,
            "about": row.about,
            "milliseconds": row.milliseconds,
            "ratios": {name: found.to_dict() for name, found in against.items() if found is not None},
            "peak_bytes": row.memory,
            "first_seconds": row.seconds_first,
        }


@dataclass(frozen=True)
class Field:
    """Who takes part: the ``backends`` wanted (none: all), and which of the others."""

    backends: Sequence[str] = ()
    script: bool = False
    compile: bool = False
    package: bool = True


def bench(
    cell: Cell,
    setting: Setting,
    rounds: int,
    who: Field | None = None,
    *,
    memory: bool = True,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Measure a cell.  ``progress`` is told what is done next.

    Raises :class:`~codegen.errors.CodegenError` where the cell cannot be lowered or built.
    """
    progress(f"{cell.name}: building")
    contenders, skipped = _gather(cell, setting, who or Field())
    refused: dict[str, str] = {}
    admitted = _admitted(contenders, skipped, refused, lambda name: progress(f"{cell.name}: checking {name}"))
    sizes = layer_of(cell, setting).sizes
    floor = Floor(lowered(cell), sizes, setting)
    peaks = {c.name: peak_memory(c, setting.device) if memory else None for c in admitted}
    runs: dict[str, Callable[[], object]] = {c.name: c for c in admitted}
    if floor.products:
        runs[FLOOR] = floor
    progress(f"{cell.name}: {rounds} rounds of {len(runs)}")
    wait = synchronizer(setting.device)
    times = interleave(runs, rounds, seed=setting.seed, wait=wait, clock=setting.clock)
    rows = [Row(c.name, c.about, times[c.name], peaks[c.name], c.seconds_first) for c in admitted]
    if floor.products:
        rows.append(Row(FLOOR, "the bare matrix products, best layout", times[FLOOR]))
    else:
        skipped[FLOOR] = "the cell has no matrix product"
    return Report(cell, setting, tuple(rows), floor.multiply_adds, refused, skipped)


def _gather(cell: Cell, setting: Setting, who: Field) -> tuple[list[Contender], Skipped]:
    eager = layer_of(cell, setting)
    found, skipped = in_backends(cell, setting, eager, [*who.backends, REFERENCE] if who.backends else ())
    found.append(naive(cell, setting, eager))
    groups = []
    if who.script:
        groups.append(peers.scripted(cell, setting, eager))
    if who.compile:
        groups.append(peers.compiled(cell, setting, eager))
    if who.package:
        groups.append(package_peer.of_the_package(cell, setting, eager))
    for contenders, reasons in [*groups, (peers.torch_layers(cell, setting, eager), {})]:
        found += contenders
        skipped |= reasons
    return found, skipped


def _admitted(
    contenders: Sequence[Contender],
    skipped: Skipped,
    refused: dict[str, str],
    progress: Callable[[str], None],
) -> list[Contender]:
    """Those that run and agree with eager; of the others the reasons are noted."""
    expected = next(c for c in contenders if c.name == REFERENCE).results()
    admitted = []
    for contender in contenders:
        progress(contender.name)
        begin = time.perf_counter()
        try:
            found = contender.results()
        except CodegenError as error:
            skipped[contender.name] = str(error)
            continue
        except RuntimeError as error:
            if contender.ours:
                raise
            skipped[contender.name] = str(error).splitlines()[0]
            continue
        contender.seconds_first = (contender.seconds_first or 0.0) + time.perf_counter() - begin
        wrong = disagreement(found, expected, contender.setting.dtype) if contender.same_cell else None
        if wrong is None:
            admitted.append(contender)
        else:
            refused[contender.name] = wrong
    return admitted
