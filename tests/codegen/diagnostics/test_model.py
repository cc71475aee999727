"""What is measured of a model, and that measuring changes nothing."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import codegen
import derive
from codegen.diagnostics import diagnostics, measure, sequence_diagnostics
from codegen.errors import ConfigError, DataError
from codegen.training import LanguageModel, train
from codegen.training.tasks.language import LanguageTask
from codegen.training.tasks.readout import Regressor
from derive import Cell
from derive.errors import DeriveError
from tests.codegen.training.standin import make_config, make_corpus

V, M, N = 11, 4, 6


def make_model(cell: Cell, vocabulary: int = V, m: int = M, n: int = N) -> LanguageModel:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return LanguageModel(codegen.build(cell, m, n, backend="eager"), vocabulary, m, n)


def text(length: int = 60) -> torch.Tensor:
    """Some words of the vocabulary are never read; bounds speak of them all the same."""
    return torch.from_numpy(np.random.default_rng(4).integers(V - 4, size=length))


@pytest.mark.parametrize(("name", "norm"), [("vanilla", "inf"), ("gru", 2), ("peephole-lstm", 2)])
def test_the_beginning_of_each_row_after_a_warm_up(name: str, norm: object) -> None:
    cell, tokens = derive.cell(name), text(61)
    model = make_model(cell)
    found = diagnostics(cell, tokens, rows=2, steps=8, warm_up=5, norm=norm, lags=(2, 8))(model)
    embedding = model.embedding.weight.detach().double().numpy()
    inputs = np.stack([embedding[tokens[:13]], embedding[tokens[30:43]]], axis=1)
    params = {k: v.double().numpy() for k, v in model.layer.equation_parameters().items()}
    _, state = derive.evaluate(cell, params, inputs[:5])
    limits = abs(embedding).max(axis=0)
    expected = measure(cell, params, inputs[5:], state=state, limits=limits, norm=norm, lags=(1, 2, 8))
    assert found == expected.as_dict()


def test_without_warm_up_the_run_begins_at_zero() -> None:
    cell = derive.cell("gru")
    model = make_model(cell)
    found = diagnostics(cell, text(), steps=4, warm_up=0, lags=[])(model)
    params = {k: v.double().numpy() for k, v in model.layer.equation_parameters().items()}
    embedding = model.embedding.weight.detach().double().numpy()
    inputs = embedding[text()[:4], None]
    assert found == measure(cell, params, inputs, limits=abs(embedding).max(axis=0), lags=[]).as_dict()


def test_a_model_that_reads_vectors() -> None:
    """The whole sequences, from zero; bounds hold for inputs as large as these."""
    cell = derive.cell("lstm")
    layer = codegen.build(cell, M, N, backend="eager")
    inputs = torch.from_numpy(np.random.default_rng(5).normal(size=(10, 3, M)).astype(np.float32))
    params = {k: v.double().numpy() for k, v in layer.equation_parameters().items()}
    found = sequence_diagnostics(cell, inputs)(Regressor(layer, M, N))
    assert found == measure(cell, params, inputs.numpy()).as_dict()
    assert "sensitivity_8" in found
    assert "sensitivity_16" not in found


def test_nothing_is_changed_and_nothing_drawn() -> None:
    cell = derive.cell("lstm")
    model = make_model(cell).train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()[1]
    find = diagnostics(cell, text(), steps=8, lags=(8,))
    first = find(model)
    assert find(model) == first
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())
    assert model.training
    assert torch.equal(torch_state, torch.get_rng_state())
    assert np.array_equal(numpy_state, np.random.get_state()[1])


def test_a_training_logs_it_and_is_the_same_training(tmp_path: Path) -> None:
    cell, corpus = derive.cell("gru"), make_corpus()
    config = make_config(epochs=2, biases={})
    find = diagnostics(cell, corpus.valid, steps=16, warm_up=4, lags=(4, 16))
    histories = []
    for measured in (None, find):
        model = make_model(cell, len(corpus.vocabulary), config.embedding_size, config.hidden_size)
        where = tmp_path / str(measured is None)
        histories.append(train(model, LanguageTask(corpus, config), config, where, measure=measured).history)
    assert [e.valid for e in histories[0]] == [e.valid for e in histories[1]]
    records = [json.loads(line) for line in (tmp_path / "False" / "log.jsonl").read_text().splitlines()]
    epochs = [record for record in records if record["event"] == "epoch"]
    assert epochs[-1]["sensitivity_16"] == find(model)["sensitivity_16"]
    assert epochs[0]["sensitivity_16"] != epochs[1]["sensitivity_16"]
    assert 0 < epochs[-1]["jacobian_max"] <= epochs[-1]["bound_visited"] <= epochs[-1]["bound"]


def test_refusals_come_before_the_training() -> None:
    cell = derive.cell("gru")
    with pytest.raises(DataError, match="60 tokens in 2 rows are 30 a row; expected at least 84"):
        diagnostics(cell, text(), rows=2)
    with pytest.raises(ConfigError, match="a lag of 32 steps"):
        diagnostics(cell, text(), steps=16, lags=[32])
    with pytest.raises(ConfigError, match="rows=0; expected 1 or more"):
        diagnostics(cell, text(), rows=0)
    for warm_up, steps in ((-1, 8), (8, 0)):
        with pytest.raises(ConfigError, match=f"a warm-up of {warm_up} in"):
            diagnostics(cell, text(), warm_up=warm_up, steps=steps)
    with pytest.raises(DeriveError, match="norm='3'"):
        diagnostics(cell, text(), steps=16, norm="3")
