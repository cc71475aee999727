"""A word-level corpus in Mikolov's format, and the windows that truncated backpropagation sees.

A corpus is a directory with `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`: UTF-8, one sentence a
line, words parted by white space, rare words already `<unk>`, numbers already `N`. Each newline becomes
the word `<eos>`. The Penn Treebank so prepared has 929,589 / 73,760 / 82,430 tokens of 10,000 types
(Mikolov et al., "Empirical Evaluation and Combination of Advanced Language Modeling Techniques", 2011).
"""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from codegen.errors import DataError

SPLITS = ("train", "valid", "test")
EOS = "<eos>"
UNKNOWN = "<unk>"
DATA_VARIABLE = "CELLWRIGHT_PTB"

WHERE_TO_GET_IT = (
    "Where to get it: the Penn Treebank in Mikolov's preprocessing is the folder data/ of the archive "
    "simple-examples.tgz, published with his RNNLM toolkit. Or, with nothing to download, write the "
    "corpus that ships inside Python: codegen.training.write_embedded_corpus(DIR)."
)


@dataclass(frozen=True, eq=False)
class Corpus:
    """Three splits of a text as indices into one vocabulary.

    Attributes:
        vocabulary: the types, in the order of their first occurrence in the training split.
        train, valid, test: int64, shape (tokens,).
        checksum: SHA-256 (hexadecimal) of the three files, to recognize the same data on resume.
    """

    vocabulary: tuple[str, ...]
    train: Tensor
    valid: Tensor
    test: Tensor
    checksum: str


def split_file_name(split: str) -> str:
    """The file of a split: `ptb.train.txt` for `train`."""
    return f"ptb.{split}.txt"


def data_directory(given: str | os.PathLike[str] | None = None) -> Path:
    """The directory `given`, or else the one that the environment variable CELLWRIGHT_PTB names.

    Raises:
        DataError: neither is there.
    """
    chosen = given if given is not None else os.environ.get(DATA_VARIABLE)
    if not chosen:
        raise DataError(f"no data directory: give --data DIR or set {DATA_VARIABLE}. {WHERE_TO_GET_IT}")
    return Path(chosen)


def load_corpus(directory: str | os.PathLike[str]) -> Corpus:
    """Read the three files of a corpus.

    Raises:
        DataError: the directory or a file is missing, unreadable, empty or not UTF-8, or the validation
            or test text has a word that the training text lacks.
    """
    directory = Path(directory)
    names = [split_file_name(split) for split in SPLITS]
    if not directory.is_dir():
        raise DataError(f"no directory {directory}: looked there for {', '.join(names)}. {WHERE_TO_GET_IT}")
    missing = [name for name in names if not (directory / name).is_file()]
    if missing:
        needed = f"a corpus has {', '.join(names)}"
        raise DataError(f"{directory} lacks {', '.join(missing)}: {needed}. {WHERE_TO_GET_IT}")
    try:
        files = {split: (directory / split_file_name(split)).read_bytes() for split in SPLITS}
    except OSError as error:
        raise DataError(f"cannot read {error.filename}: {error.strerror}") from error
    return parse_corpus(files)


def parse_corpus(files: Mapping[str, bytes]) -> Corpus:
    """Build a corpus from the contents of its files.

    Args:
        files: the bytes of each split, by its name in `SPLITS`.

    Raises:
        DataError: as in `load_corpus`.
    """
    words = {split: _words(files[split], split_file_name(split)) for split in SPLITS}
    vocabulary = tuple(dict.fromkeys(words["train"]))
    index = {word: position for position, word in enumerate(vocabulary)}
    tokens = {split: _encode(words[split], index, split_file_name(split)) for split in SPLITS}
    return Corpus(vocabulary, tokens["train"], tokens["valid"], tokens["test"], _checksum(files))


def reduced_corpus(
    corpus: Corpus,
    *,
    train_tokens: int | None = None,
    valid_tokens: int | None = None,
    test_tokens: int | None = None,
    vocabulary: int | None = None,
) -> Corpus:
    """A smaller corpus for a smaller machine: the first tokens of each split, the most frequent types.

    Types are counted in the training text that is kept; the others, and words of the other splits that it
    lacks, become `<unk>`. The checksum is that of the whole and of what was kept.

    Args:
        train_tokens, valid_tokens, test_tokens: how many are kept; all if None.
        vocabulary: how many types are kept, `<unk>` included; all if None.

    Raises:
        DataError: a size is less than 1, or more than there is.
    """
    sizes = {"train": train_tokens, "valid": valid_tokens, "test": test_tokens}
    for name, size, there_are in (
        *((f"{split}_tokens", size, len(getattr(corpus, split))) for split, size in sizes.items()),
        ("vocabulary", vocabulary, len(corpus.vocabulary)),
    ):
        if size is not None and not 1 <= size <= there_are:
            raise DataError(f"{name} is {size}; expected from 1 to {there_are:,}, which the corpus has")
    if vocabulary is None and not any(sizes.values()):
        return corpus
    splits = {split: getattr(corpus, split)[:size].tolist() for split, size in sizes.items()}
    counts = Counter(splits["train"])
    unknown = corpus.vocabulary.index(UNKNOWN) if UNKNOWN in corpus.vocabulary else len(corpus.vocabulary)
    others = [token for token, _ in counts.most_common() if token != unknown]  # ties: the earlier first
    kept = [unknown, *others[: vocabulary - 1 if vocabulary is not None else None]]
    index = {token: position for position, token in enumerate(kept)}
    encoded = {split: torch.tensor([index.get(t, 0) for t in tokens]) for split, tokens in splits.items()}
    words = (*corpus.vocabulary, UNKNOWN)
    digest = hashlib.sha256(f"{corpus.checksum} {sizes} {vocabulary}".encode()).hexdigest()
    return Corpus(tuple(words[token] for token in kept), **encoded, checksum=digest)


def _words(data: bytes, name: str) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"{name}, line {line}: byte 0x{data[error.start]:02x} is not UTF-8; convert the file to UTF-8"
        ) from error
    if not text.strip():
        raise DataError(f"{name} has no words; expected one sentence a line. {WHERE_TO_GET_IT}")
    if not text.endswith("\n"):
        text += "\n"  # a last line without its newline is a sentence all the same
    return text.replace("\n", f" {EOS} ").split()


def _encode(words: list[str], index: Mapping[str, int], name: str) -> Tensor:
    try:
        return torch.from_numpy(np.fromiter((index[word] for word in words), np.int64, len(words)))
    except KeyError as error:
        word = error.args[0]
        line = words[: words.index(word)].count(EOS) + 1
        known = "has" if UNKNOWN in index else "would then have to have"
        raise DataError(
            f"{name}, line {line}: the word {word!r} does not occur in {split_file_name('train')}, so no "
            f"model can learn it; write it as {UNKNOWN}, which the training text {known}"
        ) from error


def _checksum(files: Mapping[str, bytes]) -> str:
    digest = hashlib.sha256()
    for split in SPLITS:  # the lengths keep text from moving between splits unnoticed
        digest.update(f"{split} {len(files[split])}\n".encode())
        digest.update(files[split])
    return digest.hexdigest()


def batch_count(tokens: int, batch_size: int, bptt: int) -> int:
    """The number of windows that `batches` gives: ⌊(⌊tokens / batch_size⌋ − 1) / bptt⌋.

    The 1 is the last token of a row, which is only ever a target.
    """
    return max(0, (tokens // batch_size - 1) // bptt)


def batches(tokens: Tensor, batch_size: int, bptt: int, *, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
    """Windows of a text for truncated backpropagation, in an order that lets the state be carried.

    The text is cut into `batch_size` rows of ⌊tokens / batch_size⌋ consecutive tokens, and each row into
    windows of `bptt`; window k + 1 goes on where window k ended. The remainders are dropped.

    Args:
        tokens: int64, shape (tokens,).
        start: the number of windows to skip.

    Returns:
        Pairs (inputs, targets), int64, each of shape (bptt, batch_size), time first. A target is the next
        token of its row.

    Raises:
        DataError: the text is too short for one window.
    """
    windows = batch_count(len(tokens), batch_size, bptt)
    if windows == 0:
        raise DataError(
            f"{len(tokens)} tokens are too few for a batch of {batch_size} rows by {bptt} steps, which takes "
            f"{batch_size * (bptt + 1)}; give more text, a smaller batch or a shorter truncation"
        )
    length = len(tokens) // batch_size
    rows = tokens[: length * batch_size].view(batch_size, length).t().contiguous()
    return (
        (rows[first : first + bptt], rows[first + 1 : first + bptt + 1])
        for first in range(start * bptt, windows * bptt, bptt)
    )
