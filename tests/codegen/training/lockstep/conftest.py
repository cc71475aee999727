"""Fixtures for the tests of lockstep."""

from pathlib import Path
from typing import Any

import pytest

import codegen.training.lockstep.loop as loop_module
from codegen.training.lockstep.member import Member
from codegen.training.lockstep.stack import Stack
from tests.codegen.training.lockstep.trials import alone, configs, prepare


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Single runs of the three trainings of `configs()`, in folders 0 to 2."""
    directory = tmp_path_factory.mktemp("undisturbed")
    for config in configs():
        alone(prepare(config, directory))
    return directory


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[tuple[int, int], int]]:
    """The position and the size of every stack that is made."""
    made: list[tuple[tuple[int, int], int]] = []

    class Noted(Stack):
        def __init__(self, members: list[Member], *arguments: Any) -> None:
            made.append((members[0].position, len(members)))
            super().__init__(members, *arguments)

    monkeypatch.setattr(loop_module, "Stack", Noted)
    return made
