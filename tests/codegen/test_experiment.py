"""An experiment: what options mean, what they become, and the command that repeats it."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest
import torch

import derive
from codegen.cli import run
from codegen.errors import ConfigError, DataError
from codegen.experiment import Experiment, open_corpus, option_defaults, prepare, train_command
from codegen.training import TrainingConfig
from tests.codegen.training.standin import make_corpus

SMALL = {"hidden_size": 8, "embedding_size": 6, "batch_size": 4, "bptt": 5, "epochs": 1}


def small(**options: object) -> Experiment:
    return prepare(derive.cell("lstm"), {**SMALL, **options}, data=make_corpus())


def test_options_become_the_configuration() -> None:
    found = small(learning_rate=3e-3, seed=7, backend="eager")
    assert found.config == TrainingConfig(
        cell="lstm", backend="eager", learning_rate=3e-3, seed=7, biases={"b_f": 1.0}, **SMALL
    )
    assert found.backend == "eager"
    assert found.why == "asked for"
    assert found.data_sha256 == make_corpus().checksum
    assert found.model.embedding.weight.shape == (len(make_corpus().vocabulary), 6)


def test_biases_by_gate_by_memory_and_by_name() -> None:
    assert small(forget_bias=2.0).config.biases == {"b_f": 2.0}
    by_memory = small(memory=10.0, biases={"b_o": 0.5}).config.biases
    assert by_memory["b_f"] == pytest.approx(2.1972245773)  # log 9
    assert by_memory["b_o"] == 0.5


def test_unknown_options_are_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match="no training option 'lerning_rate'; did you mean 'learning_rate'"):
        small(lerning_rate=1.0)
    with pytest.raises(ConfigError, match="no task 'ading'"):
        small(task="ading")
    with pytest.raises(ConfigError, match="no gradient 'block'; did you mean 'blocks'"):
        small(gradient="block")


def test_the_command_repeats_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, options of every type among them."""
    monkeypatch.setenv("CELLWRIGHT_PTB", "embedded")
    options = {**SMALL, "clip": 1.5, "biases": {"b_o": 0.25}, "bptt": 30, "backend": "eager"}
    reduction = {"train_tokens": 2000, "vocabulary": 100}
    found = prepare(derive.cell("lstm"), options, data=open_corpus("embedded", **reduction))
    first = found.train(tmp_path / "a").history[0]
    command = shlex.split(train_command("lstm", options | reduction))
    assert command[:3] == ["cellwright", "train", "lstm"]
    assert "--bptt" not in command  # at its default
    assert run([*command[1:], "--run-dir", str(tmp_path / "b")]) == 0
    log = [json.loads(line) for line in (tmp_path / "b" / "log.jsonl").read_text().splitlines()]
    assert log[-1]["valid_article"] == first.valid.article
    assert log[-1]["train_article"] == first.train.article


def test_a_task_has_defaults_of_its_own() -> None:
    """A whole sequence is propagated back through, unless told otherwise."""
    found = prepare(derive.cell("gru"), {"task": "adding", "length": 50, "hidden_size": 8})
    assert (found.config.bptt, found.config.clip, found.config.hidden_size) == (50, 1.0, 8)
    assert found.data_sha256 is None
    assert found.command == "cellwright train gru --task adding --length 50 --hidden-size 8"
    told = prepare(derive.cell("gru"), {"task": "adding", "length": 50, "bptt": 10})
    assert told.config.bptt == 10


def test_the_command_line_gives_on_what_is_given(tmp_path: Path) -> None:
    where = ["--run-dir", str(tmp_path / "run")]
    sizes = ["--length", "12", "--epoch-steps", "2", "--epochs", "1", "--batch-size", "30"]
    assert run(["train", "gru", "--task", "adding", *sizes, *where]) == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())["config"]
    assert (config["bptt"], config["hidden_size"], config["batch_size"]) == (12, 24, 30)


def test_every_option_of_the_command_is_known() -> None:
    """`cellwright train` takes just these, and gives them on."""
    defaults = option_defaults()
    assert {"learning_rate", "seed", "task", "forget_bias", "memory", "gradient"} <= defaults.keys()
    assert not {"cell", "config"} & defaults.keys()


def test_reduced_corpora() -> None:
    corpus = open_corpus("embedded")
    small = open_corpus(corpus, train_tokens=1000, valid_tokens=50, vocabulary=20)
    assert (len(small.train), len(small.valid), len(small.test)) == (1000, 50, len(corpus.test))
    assert len(small.vocabulary) == 20
    assert small.checksum not in (corpus.checksum, open_corpus(corpus, train_tokens=1000).checksum)
    words = [corpus.vocabulary[token] for token in corpus.train[:1000].tolist()]
    counts = {word: words.count(word) for word in words if word != "<unk>"}
    kept = [word for word in small.vocabulary if word != "<unk>"]
    assert min(counts[word] for word in kept) >= max(n for word, n in counts.items() if word not in kept)
    for before, after in zip(corpus.valid[:50].tolist(), small.valid.tolist(), strict=True):
        word = corpus.vocabulary[before]
        assert small.vocabulary[after] == (word if word in kept else "<unk>")
    assert torch.equal(open_corpus(corpus).train, corpus.train)
    with pytest.raises(DataError, match="valid_tokens is 0; expected from 1 to"):
        open_corpus(corpus, valid_tokens=0)
    with pytest.raises(DataError, match="vocabulary is 10000; expected from 1 to"):
        open_corpus(corpus, vocabulary=10_000)
