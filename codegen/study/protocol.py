"""What a study is to find out: a grid of trainings, on which data, and what was published about it."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from typing import Any, TypeAlias

Value: TypeAlias = str | int | float | bool
Options: TypeAlias = Mapping[str, Value]

CELL, SEED = "cell", "seed"
OWN = (SEED, "learning_rate")
"""The options of its own that a trial has among those that it is trained side by side with."""


@dataclass(frozen=True)
class Data:
    """Which text the trials read.

    Attributes:
        source: a folder with the Penn Treebank files, `"embedded"`, or None for what `--data` or the
            environment variable CELLWRIGHT_PTB says.
        train_tokens, valid_tokens, test_tokens: how many leading tokens of a split are kept; all if None.
        vocabulary: the most frequent types kept, with `<unk>` for the rest; all if None.
    """

    source: str | None = None
    train_tokens: int | None = None
    valid_tokens: int | None = None
    test_tokens: int | None = None
    vocabulary: int | None = None


@dataclass(frozen=True)
class Design:
    """A 2ᵏ factorial design over the cells.

    Attributes:
        factors: the k names of what a cell has or has not.
        levels: for each of 2ᵏ cells, one 0 or 1 a factor.
    """

    factors: tuple[str, ...]
    levels: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class PublishedLoss:
    """One published number: mean ± interval of the trials that have these options (the seed is not one)."""

    options: Options
    mean: float
    interval: float


@dataclass(frozen=True)
class Published:
    """Numbers to stand beside ours, in the unit of `Loss.article`, with where they are from.

    Attributes:
        source: the publication.
        trials: how many each mean and its interval are of.
        losses: the numbers.
    """

    source: str
    trials: int
    losses: tuple[PublishedLoss, ...] = ()


@dataclass(frozen=True)
class Protocol:
    """A study as its file declares it.

    Attributes:
        name: of the study in its storage.
        title: for people.
        note: what should be said with the results, such as what was reduced.
        grid: option → the values it takes; `cell` and `seed` among them; a trial is one value of each.
        training: the options that are the same in all trials.
        data, design, published: as their classes say.
        retries: how often a trial that failed (not: was interrupted) is tried again.
        diagnostics: whether the trials measure Jacobians, gates and states after each epoch.
    """

    name: str
    title: str
    grid: Mapping[str, tuple[Value, ...]]
    training: Options = field(default_factory=dict)
    data: Data = field(default_factory=Data)
    design: Design | None = None
    published: Published | None = None
    note: str = ""
    retries: int = 2
    diagnostics: bool = False

    def points(self) -> Iterator[dict[str, Value]]:
        """Every trial's options, in the order of the file, the seed changing slowest.

        So that a study that is stopped early has all cells at the first seed before it begins the second.
        """
        names = sorted(self.grid, key=lambda name: name != SEED)  # stable: the seed first, else as given
        for values in product(*(self.grid[name] for name in names)):
            point = dict(zip(names, values, strict=True))
            yield {name: point[name] for name in self.grid}

    def as_dict(self) -> dict[str, Any]:
        """Plain values that JSON and TOML can hold, in the layout of a study's file; nothing for None."""
        document: dict[str, Any] = {
            **{name: getattr(self, name) for name in ("name", "title", "note", "retries", "diagnostics")},
            "grid": {name: list(values) for name, values in self.grid.items()},
            "training": dict(self.training),
            "data": {name: value for name, value in asdict(self.data).items() if value is not None},
        }
        if self.design is not None:
            levels = {cell: list(level) for cell, level in self.design.levels.items()}
            document["design"] = {"factors": list(self.design.factors), "levels": levels}
        if self.published is not None:
            losses = [
                {**loss.options, "mean": loss.mean, "interval": loss.interval}
                for loss in self.published.losses
            ]
            document["published"] = {
                "source": self.published.source,
                "trials": self.published.trials,
                "losses": losses,
            }
        return document

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Protocol:
        """The protocol that `as_dict` wrote down; its types are not checked (`protocol_file` does that)."""
        given = {name: document[name] for name in _names(cls) if name in document}
        given["grid"] = {name: tuple(values) for name, values in document["grid"].items()}
        given["data"] = Data(**document.get("data", {}))
        if (design := document.get("design")) is not None:
            levels = {cell: tuple(level) for cell, level in design["levels"].items()}
            given["design"] = Design(tuple(design["factors"]), levels)
        if (published := document.get("published")) is not None:
            losses = tuple(_published_loss(loss) for loss in published.get("losses", ()))
            given["published"] = Published(published["source"], published["trials"], losses)
        return cls(**given)


def trial_key(options: Options) -> str:
    """The name of a trial in its study: its options as JSON, in the order of their names."""
    return json.dumps(options, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def may_go_beside(options: Options, others: Options) -> bool:
    """Whether two trials differ in nothing but what trials that are trained in lockstep may differ in."""
    return all(options[name] == others[name] for name in options if name not in OWN)


def _published_loss(record: Mapping[str, Any]) -> PublishedLoss:
    numbers = ("mean", "interval")
    options = {name: value for name, value in record.items() if name not in numbers}
    return PublishedLoss(options, **{name: record[name] for name in numbers})


def _names(cls: type) -> list[str]:
    return [field.name for field in fields(cls)]


def differences(before: Protocol, now: Protocol) -> list[str]:
    """What keeps `now` from going on with the numbers of `before`; the text itself is compared elsewhere."""
    old, new = before.as_dict(), now.as_dict()
    found = []
    for table in ("training", "data"):
        for name in dict.fromkeys([*old[table], *new[table]]):
            was, is_ = old[table].get(name), new[table].get(name)
            if was != is_ and (table, name) != ("data", "source"):  # machines keep it in different places
                found.append(f"{table}.{name} was {_shown(was)} and is now {_shown(is_)}")
    if before.diagnostics != now.diagnostics:
        found.append(f"diagnostics was {_shown(before.diagnostics)} and is now {_shown(now.diagnostics)}")
    for name in dict.fromkeys([*before.grid, *now.grid]):
        if name not in before.grid or name not in now.grid:
            found.append(f"grid.{name} was {'not ' if name not in before.grid else ''}there")
        elif gone := [value for value in before.grid[name] if value not in now.grid[name]]:
            found.append(f"grid.{name} had {', '.join(_shown(value) for value in gone)} as well")
    return found


def _shown(value: Any) -> str:
    return "not given" if value is None else repr(value)
