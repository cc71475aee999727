"""The embedded corpus. Its text follows the version of Python, so counts are bounded, not pinned."""

import builtins
import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from codegen.errors import DataError
from codegen.training.corpus import embedded_corpus, write_embedded_corpus
from codegen.training.data import EOS, batch_count, load_corpus


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_embedded_corpus(tmp_path_factory.mktemp("data") / "a" / "new" / "one")


@pytest.fixture(scope="module")
def sentences(directory: Path) -> dict[str, list[list[str]]]:
    return {
        split: [line.split() for line in (directory / f"ptb.{split}.txt").read_text().splitlines()]
        for split in ("train", "valid", "test")
    }


def test_written_and_in_memory_are_the_same(directory: Path) -> None:
    written, held = load_corpus(directory), embedded_corpus()
    assert written.checksum == held.checksum
    assert written.vocabulary == held.vocabulary
    assert torch.equal(written.train, held.train)


def test_size() -> None:
    corpus = embedded_corpus()
    assert 1_000 < len(corpus.vocabulary) <= 10_000
    assert len(corpus.train) > 20_000
    for tokens in (corpus.valid, corpus.test):
        assert batch_count(len(tokens), 30, 30) >= 1, "enough for the article's batches"
        assert 0.05 < len(tokens) / len(corpus.train) < 0.2


def test_format_is_mikolovs(sentences: dict[str, list[list[str]]]) -> None:
    tokens = [token for split in sentences.values() for sentence in split for token in sentence]
    assert {token for token in tokens if token != token.lower()} == {"N"}
    assert not [token for token in tokens if token[0].isdigit()]
    assert not [token for token in tokens if not re.fullmatch(r"<unk>|'?[\w.'-]+", token)]
    assert EOS not in tokens
    assert 0.005 < tokens.count("<unk>") / len(tokens) < 0.1
    assert "n't" in tokens
    assert "'s" in tokens


def test_reads_like_english(sentences: dict[str, list[list[str]]]) -> None:
    counts = Counter(token for sentence in sentences["train"] for token in sentence)
    assert counts.most_common(1)[0][0] == "the"
    assert {"the", "is", "of", "a", "to", "and", "in"} <= {word for word, _ in counts.most_common(15)}
    assert 8 < sum(counts.values()) / len(sentences["train"]) < 30
    assert min(len(sentence) for sentence in sentences["train"]) >= 3


def test_no_sentence_is_in_two_splits(sentences: dict[str, list[list[str]]]) -> None:
    """But for the few that are the same once their rare words are `<unk>`."""
    train = {tuple(sentence) for sentence in sentences["train"]}
    for split in ("valid", "test"):
        shared = [sentence for sentence in sentences[split] if tuple(sentence) in train]
        assert len(shared) < 0.02 * len(sentences[split])


def test_writing_again_changes_nothing(directory: Path) -> None:
    before = {path.name: path.read_bytes() for path in directory.iterdir()}
    write_embedded_corpus(directory)
    assert {path.name: path.read_bytes() for path in directory.iterdir()} == before


def test_another_corpus_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ptb.valid.txt").write_text("precious\n")
    with pytest.raises(DataError, match=r"already holds another ptb\.valid\.txt; choose a new directory"):
        write_embedded_corpus(tmp_path)
    assert os.listdir(tmp_path) == ["ptb.valid.txt"]
    assert (tmp_path / "ptb.valid.txt").read_text() == "precious\n"


def test_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write the embedded corpus to .*file"):
        write_embedded_corpus(tmp_path / "file" / "below")


def test_python_without_its_documentation(monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("pydoc_data"):
            raise ModuleNotFoundError(name)
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(DataError, match="this Python lacks the module pydoc_data"):
        embedded_corpus()
