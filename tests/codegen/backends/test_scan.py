"""The backend ``scan``: found by proof, refused with the claim that fails, on the CPU in C."""

import sys

import pytest
import torch

import codegen
import derive
from codegen.backends import base, choose
from codegen.backends.base import Use
from codegen.backends.scan import BACKEND, NATIVE
from codegen.errors import Unsupported
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from codegen.writing.names import class_name, snake_case
from tests.codegen.linear_cells import LINEAR, MINIMAL

compiled = pytest.mark.skipif(not NATIVE.availability(), reason="no C compiler")


@pytest.fixture
def without_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(NATIVE), "availability", lambda self: base.Availability(False, "no compiler"))
    sys.modules["codegen.generated"]._module.cache_clear()
    yield
    sys.modules["codegen.generated"]._module.cache_clear()


@pytest.mark.parametrize("device", [pytest.param("cpu", marks=compiled), "cuda", "mps"])
def test_auto_finds_it_by_proof(device: str) -> None:
    """A derived cell: nothing says that it is linear but its equations."""
    linear = derive.apply("drop-recurrence", "lstm").after
    chosen, why = choose("auto", linear, Use(device=device))
    assert chosen.name == "scan"
    assert why.startswith(f"chosen by auto for {device}")
    for cell in ("lstm", "normalized-prototype"):
        assert choose("auto", derive.cell(cell), Use(device=device))[0].name != "scan"
        assert "scan" not in choose("auto", derive.cell(cell), Use(device=device))[1]


@pytest.mark.parametrize("cell", LINEAR, ids=lambda cell: cell.name)
def test_it_can_write_every_linear_cell(cell: derive.Cell) -> None:
    assert BACKEND.refusal(cell, Use()) is None


def test_refusals_name_the_state_and_the_claim() -> None:
    with pytest.raises(Unsupported, match=r"can be scanned; hₜ is affine in the states at t - 1: refuted"):
        codegen.build("lstm", 3, 4, backend="scan")
    mixing = derive.Cell(
        "mixing",
        {
            derive.State("s"): derive.Parameter("W", "n", "n") @ derive.State("s").prev
            + derive.Input("u", "n")
        },
    )
    with pytest.raises(Unsupported, match=r"every unit of sₜ depends on the same unit alone .*: refuted"):
        codegen.emit(mixing, "scan")
    with pytest.raises(Unsupported, match=r"it computes in float32, .*, not in complex64"):
        choose("scan", MINIMAL, Use(dtype="complex64"))


def test_what_is_emitted_needs_torch_alone() -> None:
    text = codegen.emit(MINIMAL, "scan")
    assert "codegen" not in text
    assert "def linear_minimal_gated_unit_scan(" in text


def module_of(layer: codegen.RecurrentLayer):
    return sys.modules[type(layer.get_submodule("l0")).__module__]


@compiled
def test_the_cpu_runs_the_loop_in_c_and_other_devices_the_scan(monkeypatch: pytest.MonkeyPatch) -> None:
    called = []
    layer = codegen.build(MINIMAL, 3, 4, backend="scan")
    for kind in ("native", "scan"):
        name = f"linear_minimal_gated_unit_{kind}"
        function = getattr(module_of(layer), name)

        def noted(*arguments, kind=kind, function=function):
            called.append(kind)
            return function(*arguments)

        monkeypatch.setattr(module_of(layer), name, noted)
    x = torch.randn(40, 2, 3)
    layer(x)
    assert called == ["native"]
    elsewhere = codegen.build(MINIMAL, 3, 4, backend="scan", device="meta")
    assert elsewhere(x.to("meta"))[0].shape == (40, 2, 4)
    assert called == ["native", "scan"]


@compiled
@pytest.mark.parametrize("cell", LINEAR, ids=lambda cell: cell.name)
def test_the_same_in_c_and_scanned(cell: derive.Cell) -> None:
    """Also in what is kept: what one device keeps any other reads."""
    torch.manual_seed(0)
    module, loop = (
        module_of(codegen.build(cell, 3 if cell.inputs else 0, 4, backend="scan")),
        lower_loop(lower(cell), sink=True),
    )
    stem = snake_case(class_name(cell))
    inputs = [torch.randn(40, 2, 4 * len(block.symbols)) for block in loop.blocks]
    inputs += [torch.randn(2, 4) for _ in loop.states] + [torch.rand(4) for _ in loop.constants]
    head, count = [] if loop.blocks else [40], len(loop.exports)
    found = [getattr(module, f"{stem}_{kind}")(True, *head, *inputs) for kind in ("native", "scan")]
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)
    results = count + len(loop.states)
    arriving = [torch.randn_like(value) for value in found[0][:results]]
    tensors = [*arriving, *inputs, *found[0][:count], *found[0][results:]]
    need = [True] * len(inputs)
    back = [getattr(module, f"{stem}_{kind}_backward")(need, *head, *tensors) for kind in ("native", "scan")]
    torch.testing.assert_close(*back, rtol=1e-4, atol=1e-4)


def test_without_a_compiler_it_scans_and_says_so(without_compiler: None) -> None:
    assert BACKEND.availability()
    assert "no C on the CPU: no compiler" in str(BACKEND.availability())
    assert BACKEND.module(lower(MINIMAL)) == BACKEND.emit(lower(MINIMAL))
    assert choose("auto", MINIMAL, Use())[0].name == "fused"
    assert choose("auto", MINIMAL, Use(device="cuda"))[0].name == "scan"
    report = codegen.check(MINIMAL, "scan")
    assert report, report


@pytest.mark.parametrize(
    "cell", [c for c in LINEAR if c.name in ("three-coupled", "read-out", "no-input")], ids=lambda c: c.name
)
def test_checked_against_the_evaluator(cell: derive.Cell) -> None:
    report = codegen.check(cell, "scan")
    assert report, report
