"""The registry: found by looking into the folder, used or refused, never replaced."""

import dataclasses
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
from derive import Cell, activations

registry = sys.modules["codegen.backends"]  # the name codegen.backends is the function


class Pretend(base.Backend):
    """A backend for these tests."""

    def __init__(
        self,
        name: str,
        rank: int,
        can_run: bool = True,
        refuses: str | None = None,
        dtypes_refused: tuple[str, ...] = (),
        way: str = "",
    ) -> None:
        self.name = name
        self.way = way
        self.rank = rank
        self.dtypes_refused = dtypes_refused
        self.can_run = can_run
        self.refuses = refuses

    def availability(self) -> base.Availability:
        return base.Availability(self.can_run, "because")

    def refusal(self, cell: Cell, use: base.Use | None = None) -> str | None:
        if use is not None and use.dtype in self.dtypes_refused:
            return f"not in {use.dtype}"
        return self.refuses

    def preference(self, cell: Cell, use: base.Use) -> int:
        return self.rank if use.device == "cpu" else -self.rank

    def how(self, cell: Cell, use: base.Use) -> str:
        return self.way and f"{self.way} of {cell.name} at {use.hidden_size}"

    def emit(self, plan: Plan) -> str:
        return ""


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> Mapping[str, base.Backend]:
    made = [
        Pretend("absent", 3, can_run=False),
        Pretend("single", 2, dtypes_refused=("float64",)),
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
    chosen, why = registry.choose("auto", derive.cell("lstm"), base.Use(dtype="float64", hidden_size=8))
    assert chosen.name == "plain"
    assert why == (
        "chosen by auto for cpu, float64, n = 8: because; "
        "not absent: because; not picky: it is not linear; not single: not in float64"
    )


def test_auto_looks_at_the_use(several) -> None:
    assert registry.choose("auto", derive.cell("lstm"))[0].name == "single"
    elsewhere, why = registry.choose("auto", derive.cell("lstm"), base.Use("cuda"))
    assert elsewhere.name == "plain"  # the preferences are the other way around there
    assert why == "chosen by auto for cuda, float32: because"


def test_a_backend_asked_for_is_refused_for_a_use(several) -> None:
    with pytest.raises(
        Unsupported, match=r"single backend cannot run lstm for cpu, float64: not in float64.*'auto'"
    ):
        registry.choose("single", derive.cell("lstm"), base.Use(dtype="float64"))
    assert registry.refusal(registry.backend("single"), derive.cell("lstm"), base.Use()) is None


def test_the_choice_tells_how_a_backend_with_several_ways_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [Pretend("two-ways", 2, way="the first way"), Pretend("absent", 3, can_run=False, way="never")]
    monkeypatch.setattr(registry, "found", lambda: {b.name: b for b in made})
    gru, use = derive.cell("gru"), base.Use(hidden_size=8)
    assert registry.choose("auto", gru, use)[1] == (
        "chosen by auto for cpu, float32, n = 8: because; the first way of gru at 8; not absent: because"
    )
    assert registry.choose("two-ways", gru, use)[1] == "asked for; the first way of gru at 8"


def test_a_use_speaks() -> None:
    assert str(base.Use("cuda", "bfloat16", 64, 10, 3, grad=False)) == (
        "cuda, bfloat16, n = 64, T = 10, B = 3, without gradients"
    )


def test_a_cell_without_a_declared_slope_runs_eagerly(monkeypatch: pytest.MonkeyPatch) -> None:
    """A derived adjoint needs a derivative; auto takes eager then, and says why."""
    bare = dataclasses.replace(activations._DEFINITIONS["relu"], slope=None)
    monkeypatch.setitem(activations._DEFINITIONS, "relu", bare)
    s, x = derive.State("s"), derive.Input("x", "n")
    cell = Cell("slopeless", {s: derive.relu(derive.Parameter("W", "n", "n") @ s.prev + x)}, output=s)
    layer = codegen.build(cell, 3, 3)
    assert layer.options.backend == "eager"
    assert "not fused: the activation relu declares neither a derivative nor a slope" in repr(layer)
    with pytest.raises(Unsupported, match="fused backend cannot write slopeless: the activation relu"):
        codegen.build(cell, 3, 3, backend="fused")
    with pytest.raises(Unsupported, match="cannot write slopeless: the activation relu declares"):
        codegen.emit(cell, "fused")


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
    with pytest.raises(Unsupported, match="no backend can run lstm for cpu, float32: not absent: because"):
        registry.choose("auto", derive.cell("lstm"))
