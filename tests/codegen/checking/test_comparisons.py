"""``check`` passes on what is right and fails on what is wrong, each comparison in its own way."""

import json
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings

import codegen
import derive
from codegen import generated, packed
from codegen.backends.eager import Eager
from codegen.checking.comparisons import Subject, values
from codegen.checking.gradients import by_complex_step, run
from codegen.checking.report import compare
from codegen.layer import RecurrentLayer
from codegen.reference import torch_cells
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells

TORCH = [entry.cell for entry in torch_cells()]


@pytest.mark.parametrize("name", derive.catalogue())
def test_catalogue_passes(name: str) -> None:
    report = codegen.check(name, "eager")
    assert report, str(report)
    assert len(report.comparisons) >= 15


@pytest.mark.parametrize("cell", UNUSUAL, ids=lambda cell: cell.name)
def test_unusual_cells_pass(cell: Cell) -> None:
    report = codegen.check(cell, "eager")
    assert report, str(report)


@pytest.mark.parametrize("cell", TORCH, ids=lambda cell: cell.name)
def test_the_cells_of_torch_agree_with_torch(cell: Cell) -> None:
    report = codegen.check(cell, "eager")
    assert report, str(report)
    assert sum("torch.nn." in c.name for c in report.comparisons) == 2


@settings(max_examples=15)
@given(cells())
def test_any_cell_agrees_with_the_evaluator(cell: Cell) -> None:
    subject = Subject(cell, "eager", "cpu", 0)
    found = list(values(subject))
    sample = subject.sample()
    gradients = run(sample, subject.layer(sample)).gradients()
    found.append(compare("gradients", gradients.pairs(by_complex_step(sample)), 1e-10))
    assert all(c.passed for c in found), "\n".join(map(str, found))


WRITE = "s = f * s_prev + i * s_tilde"
START = "s = self.cell.start(x[0], s)"
SINGLE = "(s.dtype == torch.float32)"


def then(line: str, more: str) -> tuple[str, str]:
    """A line of a method's body, and the same with another line after it."""
    return line, f"{line}\n        {more}"


SOURCE_FAULTS = {
    "outputs, float64": (WRITE, "s = i * s_prev + f * s_tilde"),
    "last state, float64": ("torch.stack(history)), step.s", "torch.stack(history)), step.s * 2"),
    "every vector over time": ('= self.cell.output(trace["s"])', '= trace["s"]'),
    "gradients against complex step": (WRITE, "s = f.detach() * s_prev + i * s_tilde"),
    "gradients against central differences": then(WRITE, "s = 2 * s - s.detach()"),
    "torch.autograd.gradcheck (0 passes, 1 fails)": then(WRITE, "s = s + s_tilde - s_tilde.detach()"),
    "outputs and last state, float32": then(WRITE, f"s = s + {SINGLE} * 1e-3"),
    "gradients, float32": then(WRITE, f"s = s + {SINGLE} * (s - s.detach())"),
    "chunked": then(START, "s = s * 0"),
    "step by step": ("self.output(step.s), step.s", "self.output(step.s), step.s * 2"),
    "one sequence at a time": then(START, "s = s * (2 if x.shape[1] == 1 else 1)"),
    "packed against one at a time": then(START, "s = s * (2 if len(x) == 1 else 1)"),
}
"""For each comparison a fault, as text and what it is replaced with, that this comparison finds."""


def with_source(monkeypatch: pytest.MonkeyPatch, change: Callable[[str], str]) -> None:
    emit = Eager.emit
    monkeypatch.setattr(Eager, "emit", lambda self, plan: change(emit(self, plan)))
    monkeypatch.setattr(generated, "_module", generated._module.__wrapped__)  # remembers the right code


@pytest.mark.parametrize("comparison", SOURCE_FAULTS)
def test_wrong_code_fails(monkeypatch: pytest.MonkeyPatch, comparison: str) -> None:
    right, wrong = SOURCE_FAULTS[comparison]

    def change(source: str) -> str:
        assert right in source
        return source.replace(right, wrong)

    with_source(monkeypatch, change)
    report = codegen.check("pseudo-lstm", "eager")
    assert not report
    assert comparison in {c.name for c in report.failures}, str(report)


def test_wrong_batch_first_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        RecurrentLayer, "_like_input", lambda self, output, batched: output if batched else output[:, 0]
    )
    assert "batch first" in {c.name for c in codegen.check("vanilla", "eager").failures}


def test_a_direction_that_is_not_reversed_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def forward_only(module, data, state, reverse):
        return packed.call(module, data, state)

    monkeypatch.setattr("codegen.layer.run_padded", forward_only)
    assert [c.name for c in codegen.check("vanilla", "eager").failures] == ["two layers, both directions"]


def test_a_bias_that_stays_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    with_source(monkeypatch, lambda source: source.replace("F.linear(x, self.U)", "F.linear(x, self.U) + 1"))
    assert [c.name for c in codegen.check("vanilla", "eager").failures] == ["without biases"]


def test_a_wrong_map_to_torch_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    twin = RecurrentLayer.to_torch

    def wrong(self):
        module = twin(self)
        with torch.no_grad():
            module.weight_hh_l0.mul_(1.01)
        return module

    monkeypatch.setattr(RecurrentLayer, "to_torch", wrong)
    failures = {c.name for c in codegen.check("lstm", "eager").failures}
    assert failures == {"torch.nn.LSTM, values", "torch.nn.LSTM, gradients"}


def test_the_report_is_what_the_command_line_prints() -> None:
    document = json.loads(json.dumps(codegen.check("vanilla", "eager").to_dict(), allow_nan=False))
    assert document.keys() == {"cell", "backend", "why", "passed", "comparisons"}
    assert (document["cell"], document["backend"], document["passed"]) == ("vanilla", "eager", True)
    assert all(c.keys() == {"name", "error", "tolerance", "passed"} for c in document["comparisons"])


def test_unknown_names_raise() -> None:
    with pytest.raises(derive.UnknownCell, match="gru"):
        codegen.check("grru")
    with pytest.raises(codegen.UnknownBackend, match="eager"):
        codegen.check("gru", backend="nope")
