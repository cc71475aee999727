"""Generated source as modules: what tracebacks, inspect, debuggers and pickle see."""

import copy
import inspect
import linecache
import pickle  # noqa: TID251  layers must survive it, as torch's do
import subprocess
import sys
import traceback
from pathlib import Path

import pytest
import torch

import codegen
from codegen.load import load

ROOT = Path(__file__).resolve().parents[2]


def test_the_same_text_is_the_same_module() -> None:
    source = codegen.emit("gru")
    assert load(source, "gru") is load(source, "gru")
    assert load(source + "\n", "gru") is not load(source, "gru")


def test_the_source_can_be_inspected() -> None:
    layer = codegen.build("gru", 2, 3).l0
    assert inspect.getsource(type(layer)).startswith("class GRU(nn.Module):")
    assert "s_tilde = torch.tanh(" in inspect.getsource(type(layer.cell).step)
    linecache.checkcache()
    assert "s_tilde = torch.tanh(" in inspect.getsource(type(layer.cell).step)


def test_tracebacks_show_generated_lines() -> None:
    layer = codegen.build("gru", 2, 3).l0
    with pytest.raises(ValueError, match="a step takes") as caught:
        layer(torch.zeros(4, 1, 7))
    text = "".join(traceback.format_exception(caught.value))
    assert "cellwright_generated_gru" in text
    assert "raise ValueError(" in text


def test_a_debugger_can_step_through() -> None:
    """The lines that a trace function sees are lines of the source."""
    layer = codegen.build("vanilla", 2, 3, backend="eager").l0
    seen: list[str] = []

    def local(frame, event, argument):
        if event == "line":
            seen.append(linecache.getline(frame.f_code.co_filename, frame.f_lineno).strip())
        return local

    def trace(frame, event, argument):
        return local if frame.f_code.co_name == "step" else None

    previous = sys.gettrace()
    sys.settrace(trace)
    try:
        layer(torch.zeros(1, 1, 2))
    finally:
        sys.settrace(previous)
    assert "s = torch.tanh(F.linear(s_prev, self.W) + x_s)" in seen


def test_a_module_that_fails_is_not_kept() -> None:
    with pytest.raises(ZeroDivisionError):
        load("1 / 0\n", "broken")
    assert not [name for name in sys.modules if name.startswith("cellwright_generated_broken")]


@pytest.mark.parametrize("options", [{}, {"num_layers": 2, "bidirectional": True, "trainable_state": True}])
def test_copies_and_pickles_compute_the_same(options) -> None:
    layer = codegen.build("lstm", 2, 3, **options)
    x = torch.randn(4, 2, 2)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert torch.equal(twin(x)[0], layer(x)[0])
        assert repr(twin) == repr(layer)
        assert twin.cell == layer.cell
        next(twin.parameters()).data.zero_()
    assert next(layer.parameters()).abs().sum() > 0 or options.get("trainable_state")


def test_a_pickle_runs_in_a_fresh_process(tmp_path: Path) -> None:
    layer = codegen.build("pseudo-lstm", 2, 3, biases={"b_f": 1.0})
    x = torch.randn(4, 2, 2)
    torch.save({"layer": layer, "x": x, "y": layer(x)[0]}, tmp_path / "saved.pt")
    code = (
        "import torch, sys\n"
        "saved = torch.load(sys.argv[1], weights_only=False)\n"
        "assert torch.equal(saved['layer'](saved['x'])[0], saved['y'])\n"
        "saved['layer'].reset_parameters()\n"
        "assert (saved['layer'].l0.cell.b_f == 1).all()\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "saved.pt")], cwd=ROOT, check=True, timeout=120
    )
