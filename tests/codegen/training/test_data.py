"""The corpus format, its errors, and the windows."""

import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from codegen.errors import DataError
from codegen.training.data import (
    EOS,
    Corpus,
    batch_count,
    batches,
    data_directory,
    load_corpus,
    parse_corpus,
    split_file_name,
)

FILES = {"train": b" the cat sat \n a <unk> sat\n", "valid": b" a cat\n", "test": b"the <unk>\n"}


def write(directory: Path, files: dict[str, bytes]) -> Path:
    for split, data in files.items():
        (directory / split_file_name(split)).write_bytes(data)
    return directory


def words(corpus: Corpus, tokens: torch.Tensor) -> list[str]:
    return [corpus.vocabulary[i] for i in tokens.tolist()]


def test_each_newline_becomes_eos(tmp_path: Path) -> None:
    corpus = load_corpus(write(tmp_path, FILES))
    assert corpus.vocabulary == ("the", "cat", "sat", EOS, "a", "<unk>")
    assert words(corpus, corpus.train) == ["the", "cat", "sat", EOS, "a", "<unk>", "sat", EOS]
    assert words(corpus, corpus.valid) == ["a", "cat", EOS]
    assert words(corpus, corpus.test) == ["the", "<unk>", EOS]
    assert corpus.train.dtype == torch.int64


def test_last_line_without_newline_is_a_sentence() -> None:
    whole = parse_corpus(FILES)
    cut = parse_corpus({split: data.rstrip(b"\n") for split, data in FILES.items()})
    assert torch.equal(cut.train, whole.train)
    assert torch.equal(cut.test, whole.test)


def test_checksum_tells_every_file_apart() -> None:
    sums = {parse_corpus(FILES | {split: FILES[split] + b"cat\n"}).checksum for split in FILES}
    assert len(sums | {parse_corpus(FILES).checksum}) == 4
    assert parse_corpus(FILES | {"valid": b" a sat\n"}).checksum != parse_corpus(FILES).checksum
    assert parse_corpus(dict(FILES)).checksum == parse_corpus(FILES).checksum


def test_no_directory_says_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no directory .*nowhere: looked there for ptb\.train\.txt"
    ) as caught:
        load_corpus(tmp_path / "nowhere")
    assert "simple-examples.tgz" in str(caught.value)
    assert "write_embedded_corpus" in str(caught.value)


def test_missing_split_is_named(tmp_path: Path) -> None:
    write(tmp_path, {"train": FILES["train"], "test": FILES["test"]})
    with pytest.raises(
        DataError, match=r"lacks ptb\.valid\.txt: a corpus has ptb\.train\.txt.*Where to get it"
    ):
        load_corpus(tmp_path)


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("data", [b"", b" \n\n "])
def test_empty_file_is_named(split: str, data: bytes) -> None:
    with pytest.raises(DataError, match=rf"ptb\.{split}\.txt has no words"):
        parse_corpus(FILES | {split: data})


def test_not_utf8_names_line_and_byte() -> None:
    with pytest.raises(DataError, match=r"ptb\.train\.txt, line 2: byte 0xe9 is not UTF-8"):
        parse_corpus(FILES | {"train": b"the cat\na caf\xe9\n"})


@pytest.mark.parametrize("split", ["valid", "test"])
def test_unseen_word_is_named_with_its_line(split: str) -> None:
    message = (
        rf"ptb\.{split}\.txt, line 3: the word 'dog' does not occur in ptb\.train\.txt.*write it as <unk>"
    )
    with pytest.raises(DataError, match=message):
        parse_corpus(FILES | {split: b"a cat\n\nthe dog\n"})


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_unreadable_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    (tmp_path / "ptb.test.txt").chmod(0)
    with pytest.raises(DataError, match=r"cannot read .*ptb\.test\.txt: Permission denied"):
        load_corpus(tmp_path)


def test_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELLWRIGHT_PTB", "from-environment")
    assert data_directory("given") == Path("given")
    assert data_directory() == Path("from-environment")
    monkeypatch.delenv("CELLWRIGHT_PTB")
    with pytest.raises(DataError, match="give --data DIR or set CELLWRIGHT_PTB"):
        data_directory()


@given(
    tokens=st.integers(0, 400), batch_size=st.integers(1, 9), bptt=st.integers(1, 9), start=st.integers(0, 3)
)
def test_windows_follow_each_other(tokens: int, batch_size: int, bptt: int, start: int) -> None:
    """Against a slow reading of the definition: row b of window k starts at b·length + k·bptt."""
    length = tokens // batch_size
    expected = (length - 1) // bptt if length else 0
    assert batch_count(tokens, batch_size, bptt) == max(0, expected)
    if expected <= 0:
        with pytest.raises(DataError, match=f"{tokens} tokens are too few.*takes {batch_size * (bptt + 1)};"):
            batches(torch.arange(tokens), batch_size, bptt)
        return
    windows = list(batches(torch.arange(tokens), batch_size, bptt, start=start))
    assert len(windows) == max(0, expected - start)
    for k, (inputs, targets) in enumerate(windows, start):
        rows = [[b * length + k * bptt + t for b in range(batch_size)] for t in range(bptt)]
        np.testing.assert_array_equal(inputs, rows)
        np.testing.assert_array_equal(targets, np.array(rows) + 1)


@pytest.mark.ptb
def test_penn_treebank(ptb_dir: Path) -> None:
    corpus = load_corpus(ptb_dir)
    assert len(corpus.vocabulary) == 10_000
    assert [len(corpus.train), len(corpus.valid), len(corpus.test)] == [929_589, 73_760, 82_430]
    assert sum(1 for _ in batches(corpus.train, 30, 30)) == 1032 == batch_count(929_589, 30, 30)
    assert sum(1 for _ in batches(corpus.valid, 30, 30)) == 81 == batch_count(73_760, 30, 30)
    text = (ptb_dir / "ptb.test.txt").read_text()
    assert " ".join(words(corpus, corpus.test)) == " ".join(re.sub("\n", " <eos> ", text).split())
