"""Read a study's file: TOML, with a complaint that names the key for whatever is not as it should be."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields
from itertools import product
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import derive
from codegen.errors import ConfigError
from codegen.study.protocol import CELL, SEED, Data, Protocol
from derive.errors import nearest

_TABLES = ("grid", "training", "data", "design", "published")
_KEYS = ("name", "title", "note", "retries", "diagnostics", *_TABLES)
_NUMBERS = ("mean", "interval")
_KINDS: Mapping[str, tuple[type, str]] = {
    "int": (int, "a whole number"),
    "float": (float, "a number"),
    "bool": (bool, "true or false"),
    "str": (str, "text in quotes"),
}


def read_protocol(path: str | PathLike[str]) -> Protocol:
    """The protocol that a TOML file declares, with every cell, option and value checked.

    Raises:
        ConfigError: the file cannot be read, or a key of it is unknown, missing or has a wrong value.
        UnknownCell: a cell is not in the catalogue.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"cannot read {path}: {error.strerror}; expected the TOML file of a study"
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 text; expected the TOML file of a study") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path} is not TOML: {error}") from error
    return _Reader(path).protocol(document)


class _Given(NamedTuple):
    """An option as the file gives it."""

    where: str
    name: str
    value: Any


class _Reader:
    """The checks; each names the file and the key in what it says."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.option_kinds = _option_kinds()

    def protocol(self, document: dict[str, Any]) -> Protocol:
        self.known(document, _KEYS, "key")
        for key in ("name", "grid"):
            if key not in document:
                self.refuse(key, "is missing")
        self.name(document["name"])
        for table in _TABLES:
            self.typed(table, document.get(table, {}), dict, "a table")
        for key in ("title", "note"):
            self.typed(key, document.get(key, ""), str, "text in quotes")
        self.count("retries", document.get("retries", 0), least=0)
        self.typed("diagnostics", document.get("diagnostics", False), bool, "true or false")
        document = {
            **document,
            "title": document.get("title", document["name"]),
            "grid": self.grid(document["grid"]),
            "training": self.training(document.get("training", {}), document["grid"]),
        }
        self.data(document.get("data", {}))
        self.trainings(document["training"], document["grid"], document.get("data", {}))
        if "design" in document:
            self.design(document["design"], document["grid"][CELL])
        if "published" in document:
            document["published"] = self.published(document["published"], document["grid"])
        return Protocol.from_dict(document)

    def name(self, name: Any) -> None:
        if not (isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name)):
            self.refuse("name", f"is {name!r}; expected letters, digits, '.', '_' and '-': it names a folder")

    def grid(self, grid: dict[str, Any]) -> dict[str, list[Any]]:
        for key in (CELL, SEED):
            if key not in grid:
                self.refuse(f"grid.{key}", "is missing; expected a list, such as " + _EXAMPLES[key])
        found = {}
        for name, values in grid.items():
            where = f"grid.{name}"
            self.option_name(where, name)
            if not isinstance(values, list) or not values:
                self.refuse(where, f"is {values!r}; expected a list of at least one value")
            found[name] = [self.option(f"{where}[{i}]", name, value) for i, value in enumerate(values)]
            repeated = [value for i, value in enumerate(found[name]) if value in found[name][:i]]
            if repeated:
                self.refuse(where, f"has {repeated[0]!r} twice")
        return found

    def training(self, training: dict[str, Any], grid: Mapping[str, Any]) -> dict[str, Any]:
        for name in training:
            self.option_name(f"training.{name}", name)
            if name in (CELL, SEED):
                self.refuse(f"training.{name}", f"has no place here: list its values in grid.{name}")
            if name in grid:
                self.refuse(f"training.{name}", "is in the grid too; keep one of the two")
        return {name: self.option(f"training.{name}", name, value) for name, value in training.items()}

    def option_name(self, where: str, name: str) -> None:
        if name != CELL and name not in self.option_kinds:
            if name == "biases":
                self.refuse(
                    where,
                    "names vectors, which differ from cell to cell; expected forget_bias or memory, which "
                    "find the gates in the equations",
                )
            self.refuse(where, f"is no training option{nearest(name, self.option_kinds)}")

    def option(self, where: str, name: str, value: Any) -> Any:
        """The value in the type of its option, so that 1 and 1.0 are the same learning rate."""
        if name == CELL:
            self.cell(where, value)
            return value
        kind, expected = _KINDS[self.option_kinds[name]]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        return self.typed(where, value, kind, expected)

    def trainings(
        self, training: Mapping[str, Any], grid: Mapping[str, Sequence[Any]], data: Mapping[str, Any]
    ) -> None:
        """Refuse a point of the grid by the complaint that its training would make, and an option that no
        point's training looks at.
        """
        from codegen.experiment import unread

        always = [_Given(f"training.{name}", name, value) for name, value in training.items()]
        axes = [
            [_Given(f"grid.{name}[{i}]", name, value) for i, value in enumerate(values)]
            for name, values in grid.items()
            if name != CELL
        ]
        text = [
            _Given(f"data.{name}", "data" if name == "source" else name, value)
            for name, value in data.items()
        ]
        ignored = []
        for point in product(*axes):
            self.point([*always, *point])
            ignored.append(unread(_options([*always, *point, *text])))
        for option in (*always, *(axis[0] for axis in axes), *text):
            if all(option.name in names for names in ignored):
                raise ConfigError(f"{self.path}: {option.where}: {ignored[0][option.name]}")

    def point(self, given: Sequence[_Given]) -> None:
        """Refuse options that do not go together; if all others would, the one at fault is named."""
        try:
            _configure(given)
        except ConfigError as error:
            alone = [option.where for option in given if _is_cured(given, option)]
            where = f"{alone[0]}: " if len(alone) == 1 else ""
            raise ConfigError(f"{self.path}: {where}{error}") from error

    def cell(self, where: str, name: Any) -> None:
        self.typed(where, name, str, "a cell's name, or FILE.py that declares one")
        if not name.endswith(".py"):
            derive.cell(name)
        elif not (self.path.parent / name).is_file():
            self.refuse(where, f"is {name!r}; there is no such file in {self.path.parent}")

    def data(self, data: dict[str, Any]) -> None:
        names = [field.name for field in fields(Data)]
        self.known(data, names, "key", "data.")
        for name, value in data.items():
            if name == "source":
                self.typed("data.source", value, str, "a folder in quotes, or 'embedded'")
            else:
                self.count(f"data.{name}", value, least=1)

    def design(self, design: dict[str, Any], cells: list[str]) -> None:
        self.known(design, ("factors", "levels"), "key", "design.")
        factors = design.get("factors")
        if not (isinstance(factors, list) and factors and all(isinstance(name, str) for name in factors)):
            self.refuse("design.factors", f"is {factors!r}; expected a list of names")
        levels = self.typed("design.levels", design.get("levels"), dict, "a table: a list for each cell")
        self.known(levels, cells, "cell of the grid", "design.levels.")
        for cell, level in levels.items():
            if not (isinstance(level, list) and len(level) == len(factors) and set(level) <= {0, 1}):
                self.refuse(
                    f"design.levels.{cell}", f"is {level!r}; expected {len(factors)} numbers, each 0 or 1"
                )
        if not len({tuple(level) for level in levels.values()}) == len(levels) == 2 ** len(factors):
            self.refuse(
                "design.levels",
                f"has {len(levels)} cells; expected each of the {2 ** len(factors)} combinations of "
                f"{len(factors)} factors once",
            )

    def published(self, published: dict[str, Any], grid: Mapping[str, Any]) -> dict[str, Any]:
        self.known(published, ("source", "trials", "losses"), "key", "published.")
        self.typed("published.source", published.get("source"), str, "where the numbers are from, in quotes")
        self.count("published.trials", published.get("trials"), least=2)
        losses = self.typed("published.losses", published.get("losses", []), list, "a list of tables")
        options = [name for name in grid if name != SEED]
        return {**published, "losses": [self.loss(i, loss, options) for i, loss in enumerate(losses)]}

    def loss(self, position: int, loss: Any, options: list[str]) -> dict[str, Any]:
        where = f"published.losses[{position}]"
        self.typed(where, loss, dict, "a table")
        self.known(loss, (*options, *_NUMBERS), "option of the grid", f"{where}.")
        for name in _NUMBERS:
            number = loss.get(name)
            if isinstance(number, bool) or not isinstance(number, int | float):
                self.refuse(f"{where}.{name}", f"is {number!r}; expected a number")
        return {
            name: float(value) if name in _NUMBERS else self.option(f"{where}.{name}", name, value)
            for name, value in loss.items()
        }

    def known(self, table: Mapping[str, Any], names: Collection[str], what: str, prefix: str = "") -> None:
        for key in table:
            if key not in names:
                listed = f"; there are {', '.join(names)}"
                self.refuse(f"{prefix}{key}", f"is no {what}{nearest(key, names, none=listed)}")

    def count(self, where: str, value: Any, *, least: int) -> None:
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            self.refuse(where, f"is {value!r}; expected a whole number from {least} up")

    def typed(self, where: str, value: Any, kind: type, expected: str) -> Any:
        # True is an int in Python, not in TOML.
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.refuse(where, f"is {value!r}; expected {expected}")
        return value

    def refuse(self, where: str, problem: str) -> NoReturn:
        raise ConfigError(f"{self.path}: {where} {problem}")


_EXAMPLES = {CELL: '["lstm", "gru"]', SEED: "[0, 1, 2]"}


def _options(given: Sequence[_Given]) -> dict[str, Any]:
    return {option.name: option.value for option in given}


def _configure(given: Sequence[_Given]) -> None:
    """Raise what a training with these options would, but for what takes the cell's equations."""
    from codegen.experiment import configuration, looked_at

    configuration("any", looked_at(_options(given)))


def _is_cured(given: Sequence[_Given], without: _Given) -> bool:
    try:
        _configure([option for option in given if option is not without])
    except ConfigError:
        return False
    return True


def _option_kinds() -> dict[str, str]:
    """The training options that a file can hold, with the name of their type.

    The annotations of the configuration's fields are text (`from __future__ import annotations`).
    """
    from codegen.training import TrainingConfig

    kinds = {field.name: str(field.type).removesuffix(" | None") for field in fields(TrainingConfig)}
    kinds |= {"forget_bias": "float", "memory": "float"}
    return {name: kind for name, kind in kinds.items() if kind in _KINDS and name != CELL}
