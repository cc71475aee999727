"""What is said of a trained network, against what it does."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import derive
from codegen.certify import Certificate, certify, read_weights
from codegen.errors import CodegenError
from derive import Cell, balls
from derive.errors import DeriveError, EvaluationError

SIZE = {"n": 6, "m": 3}


def network(name: str, scale: float = 0.1, seed: int = 0) -> dict[str, Any]:
    """Weights in float32, as a training leaves them."""
    rng = np.random.default_rng(seed)
    axes = derive.cell(name).parameters
    return {
        k: rng.normal(scale=scale, size=tuple(SIZE[x] for x in a)).astype(np.float32) for k, a in axes.items()
    }


def runs(cell: Cell, params: dict[str, Any], inputs: float, steps: int, seed: int) -> tuple[Any, Any]:
    """States after the same inputs, from zero and from a changed state in the box; and the change itself."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-inputs, inputs, size=(20 + steps, SIZE["m"]))
    state = derive.evaluate(cell, params, x[:20])[1]
    moved = tuple(s * rng.uniform(0.2, 1.0, size=s.shape) for s in state)
    ends = [derive.evaluate(cell, params, x[20:], s)[1] for s in (state, moved)]
    change = [
        np.concatenate([np.ravel(u - v) for u, v in zip(*pair, strict=True)])
        for pair in ((state, moved), ends)
    ]
    return change, state


@pytest.mark.parametrize("norm", ["inf", 2])
@pytest.mark.parametrize("name", ["vanilla", "gru", "lstm", "pseudo-lstm", "peephole-lstm"])
def test_what_is_certified_is_what_happens(name: str, norm: Any) -> None:
    cell, params = derive.cell(name), network(name, 0.04)
    found = certify(cell, params, norm=norm, inputs=0.5)
    assert found.rigorous
    assert found.bounded
    assert found.contracts
    assert 0 < found.rate < 1
    for seed in range(3):
        for steps in (1, 10):
            (before, after), state = runs(cell, params, 0.5, steps, seed)
            parts = [v.reshape(len(cell.states), -1) for v in (before, after)]
            sizes = [abs(p).max() if norm == "inf" else np.linalg.norm(p, axis=1).max() for p in parts]
            assert sizes[1] <= found.influence(steps) * sizes[0] + 1e-15
            assert all(abs(s).max() <= found.boxes[k] for s, k in zip(state, cell.states, strict=True))


def test_floats_and_balls_agree() -> None:
    cell, params = derive.cell("lstm"), network("lstm")
    exact, floats = (certify(cell, params, inputs=0.5, rigorous=r) for r in (True, False))
    assert exact.rate == pytest.approx(floats.rate, rel=1e-6)
    assert exact.boxes == pytest.approx(floats.boxes, rel=1e-6)
    assert "rounding included" in str(exact)
    assert "rounding not counted" in str(floats)


def test_nothing_is_claimed_without_reason() -> None:
    """The prototype adds up for ever; large weights do not contract."""
    found = certify(derive.cell("prototype"), network("prototype"), inputs=1.0)
    assert not found.bounded
    assert math.isinf(found.boxes["s"])
    assert not found.contracts
    assert "no bound of |s| is proved" in str(found)
    strong = certify(derive.cell("gru"), network("gru", scale=2.0))
    assert strong.bounded
    assert not strong.contracts
    assert "not proved to contract" in str(strong)
    assert "any x" in str(strong)
    assert strong.influence(10) >= 1


def test_influence_is_the_lesser_of_two_bounds() -> None:
    fields: dict[str, Any] = {
        "cell": derive.cell("gru"),
        "norm": 2,
        "rigorous": True,
        "sizes": {},
        "boxes": {},
    }
    found = Certificate(**fields, assumptions=(), jacobian=2.0, plain=2.0, rate=0.5, distortion=100.0)
    assert found.influence(1) == pytest.approx(2)
    assert found.influence(10) == pytest.approx(100 / 1024)
    assert found.influence(1) > 2  # rounded upwards
    endless = Certificate(**fields, assumptions=(), jacobian=9.0, plain=math.inf, rate=9.0, distortion=1.0)
    assert math.isinf(endless.influence(1000))
    assert endless.to_dict()["influence"]["100"] == pytest.approx(9.0**100)


def test_without_flint_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flint", None)
    with pytest.raises(DeriveError, match="python-flint"):
        balls.flint()
    with pytest.raises(DeriveError, match="python-flint"):
        certify(derive.cell("gru"), network("gru"))
    assert certify(derive.cell("gru"), network("gru"), rigorous=False).bounded


def saved(path: Path, params: dict[str, Any], prefix: str = "", **others: Any) -> Path:
    file = path / "weights.safetensors"
    save_file({f"{prefix}{k}": v for k, v in params.items()} | others, file)
    return file


@pytest.mark.parametrize("prefix", ["", "layer.l0.cell.", "model.layer.l0.cell."])
def test_names_in_the_file(tmp_path: Path, prefix: str) -> None:
    params = network("gru")
    embedding = np.linspace(-2, 1, 12, dtype=np.float32).reshape(4, 3)
    file = saved(tmp_path, params, prefix, **{"embedding.weight": embedding, "decoder.bias": np.zeros(4)})
    read = read_weights(file, derive.cell("gru"))
    assert read.layer == prefix
    assert read.inputs is not None
    assert read.inputs.tolist() == abs(embedding.astype(float)).max(axis=0).tolist()
    assert all((read.params[k] == params[k]).all() for k in params)


def test_a_layer_without_biases(tmp_path: Path) -> None:
    params = {k: v for k, v in network("gru").items() if not k.startswith("b")}
    read = read_weights(saved(tmp_path, params), derive.cell("gru"))
    assert list(read.cell.parameters) == list(params)
    assert read.inputs is None


def test_several_layers(tmp_path: Path) -> None:
    first, second = network("gru"), network("gru", seed=1)
    file = saved(tmp_path, first, "l0.cell.", **{f"l1.cell.{k}": v for k, v in second.items()})
    with pytest.raises(CodegenError, match=r"2 layers of gru; choose one of 'l0.cell', 'l1.cell'"):
        read_weights(file, derive.cell("gru"))
    assert (read_weights(file, derive.cell("gru"), "l1").params["W"] == second["W"]).all()
    with pytest.raises(CodegenError, match="no layer of gru inside 'l2'"):
        read_weights(file, derive.cell("gru"), "l2")


def test_files_that_do_not_fit(tmp_path: Path) -> None:
    gru = derive.cell("gru")
    with pytest.raises(CodegenError, match="no file"):
        read_weights(tmp_path / "none.safetensors", gru)
    torn = tmp_path / "torn.safetensors"
    torn.write_bytes(b"not weights")
    with pytest.raises(CodegenError, match="damaged or not a safetensors file"):
        read_weights(torn, gru)
    with pytest.raises(CodegenError, match="'W_i'"):
        read_weights(saved(tmp_path, network("gru")), derive.cell("lstm"))
    wrong = network("gru") | {"W": np.zeros((6, 5), dtype=np.float32)}
    with pytest.raises(EvaluationError, match="W has shape"):
        certify(gru, read_weights(saved(tmp_path, wrong), gru).params)
    wrong = network("gru") | {"b": np.full(6, np.nan, dtype=np.float32)}
    with pytest.raises(CodegenError, match="b holds numbers that are not finite"):
        read_weights(saved(tmp_path, wrong), gru)
