"""An experiment: what options mean, what they become, and the command that repeats it."""

from __future__ import annotations

import inspect
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
import torch

import derive
from codegen.cli import run
from codegen.cli.training import train
from codegen.errors import ConfigError, DataError
from codegen.experiment import (
    REDUCTIONS,
    Experiment,
    looked_at,
    open_corpus,
    option_defaults,
    prepare,
    train_command,
)
from codegen.training import TrainingConfig
from tests.codegen.training.standin import make_corpus

SMALL: dict[str, Any] = {"hidden_size": 8, "embedding_size": 6, "batch_size": 4, "bptt": 5, "epochs": 1}


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
    assert found.model.embedding is not None
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
    """`cellwright train` takes just these, with these defaults, besides what decides no numbers."""
    taken = {name: parameter.default for name, parameter in inspect.signature(train).parameters.items()}
    for name in ("context", "cell", "data", "device", "threads", "run_dir", "resume", "diagnostics", "test"):
        del taken[name]
    known = option_defaults() | dict.fromkeys(REDUCTIONS)
    assert known.pop("biases") == {}
    assert taken.pop("bias") is None
    assert taken == known


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"task": "adding", "update_every": 5}, "update_every is 5, which the task 'adding' .* 'language'"),
        ({"task": "copying", "embedding_size": 9}, "embedding_size is 9, which the task 'copying' does not"),
        ({"length": 9}, "length is 9, which the task 'language' does not look at; .* 'adding' or 'copying'"),
        ({"epoch_steps": 9}, "epoch_steps is 9, which the task 'language' does not look at"),
        ({"task": "adding", "gradient": "real-time", "bptt": 9}, "bptt is 9, which the gradient 'real-time'"),
        ({"groups": 1}, "groups is 1, which the gradient 'blocks' does not .* the gradient 'real-time'"),
        ({"task": "temporal-order", "length": 9}, "length is 9; the task 'temporal-order' takes 10 at least"),
        ({"forget_bias": float("inf")}, "forget_bias is inf; expected a finite number"),
        ({"memory": float("inf")}, "memory is inf; expected a finite number of steps above 1"),
        ({"memory": 1.0}, "memory is 1.0; expected a finite number of steps above 1"),
    ],
)
def test_what_is_given_must_be_of_use(options: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        prepare(derive.cell("gru"), options, data=make_corpus())


def test_what_is_looked_at_makes_a_training() -> None:
    """The same one, and the same command, as if the rest had not been given; None is nothing given."""
    needed = {"task": "adding", "gradient": "real-time", "groups": 2, "hidden_size": 4}
    options = {**needed, "bptt": 9, "embedding_size": 7, "train_tokens": 100}
    assert looked_at(options) == needed
    assert train_command("gru", options) == train_command("gru", needed)
    assert prepare(derive.cell("gru"), {**needed, "update_every": None}).config.groups == 2


def test_no_clipping_against_a_tasks_default() -> None:
    for none in (None, 0, 0.0):
        found = prepare(derive.cell("gru"), {"task": "adding", "length": 50, "clip": none})
        assert found.config.clip is None
        words = shlex.split(found.command)
        assert float(words[words.index("--clip") + 1]) == 0
    assert "--clip" not in small(clip=None).command


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
