"""The registry: found by looking into the folder, used or refused, never replaced."""

import sys
from collections.abc import Mapping
from types import MappingProxyType

import pytest

import codegen
import derive
from codegen import backends as public
from codegen.backends import base
from codegen.errors import Unsupported
from codegen.plan import Plan
from derive import Cell

registry = sys.modules["codegen.backends"]  # the name codegen.backends is the function


class Pretend(base.Backend):
    """A backend for these tests."""

    def __init__(self, name: str, preference: int, can_run: bool = True, refuses: str | None = None) -> None:
        self.name = name
        self.preference = preference
        self.can_run = can_run
        self.refuses = refuses

    def availability(self) -> base.Availability:
        return base.Availability(self.can_run, "because")

    def refusal(self, cell: Cell) -> str | None:
        return self.refuses

    def emit(self, plan: Plan) -> str:
        return ""


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, base.Backend]:
    made = [
        Pretend("absent", 3, can_run=False),
        Pretend("picky", 2, refuses="it is not linear"),
        Pretend("plain", 1),
    ]
    found = MappingProxyType({b.name: b for b in made})
    monkeypatch.setattr(registry, "found", lambda: found)
    return found


def test_eager_is_found_and_runs() -> None:
    assert "eager" in public()
    assert public()["eager"]
    assert str(public()["eager"]).startswith("runs here: ")


def test_auto_takes_the_preferred_one_that_can_and_says_what_it_passed_over(several) -> None:
    chosen, why = registry.choose("auto", derive.cell("lstm"))
    assert chosen.name == "plain"
    assert why == "chosen by auto; not absent: because; not picky: it is not linear"


def test_a_backend_asked_for_is_not_replaced(several) -> None:
    with pytest.raises(Unsupported, match="absent backend cannot run here: because"):
        registry.choose("absent", derive.cell("lstm"))
    with pytest.raises(Unsupported, match="picky backend cannot write lstm: it is not linear"):
        registry.choose("picky", derive.cell("lstm"))
    with pytest.raises(Unsupported, match="picky backend cannot write lstm"):
        codegen.emit("lstm", backend="picky")


def test_availability_speaks(several) -> None:
    assert str(public()["absent"]) == "cannot run here: because"
    assert not public()["absent"]


def test_nothing_that_can_run_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "found", lambda: {"absent": Pretend("absent", 1, can_run=False)})
    with pytest.raises(Unsupported, match="no backend can run lstm: not absent: because"):
        registry.choose("auto", derive.cell("lstm"))
