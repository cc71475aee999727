"""A corpus that is already on every machine: the prose of Python's own language reference.

CPython ships the text behind `help("with")` in the module `pydoc_data.topics`. Its sentences, tokenized as
Mikolov tokenized the Penn Treebank, make some 40,000 words of real English: enough to see a model learn,
too few to compare cells. The text follows the version of Python.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

from codegen.errors import DataError
from codegen.files import write_atomic
from codegen.training.data import SPLITS, UNKNOWN, Corpus, parse_corpus, split_file_name

MAX_TYPES = 10_000
NUMBER = "N"

_PARAGRAPH = re.compile(r"\n\s*\n")
_SENTENCE_END = re.compile(r"(?<![ei]\.[eg]\.)(?<=[.?!:])\s+(?=[A-Z\"“])")  # not after "i.e."
_BULLET = re.compile(r"^(?:[*•-]|\d+\.|\w\))\s+")
_FIRST = re.compile(r"[\"“(]?[A-Z]")
_LAST = re.compile(r"[.?!:][\"”)]*$")
# Grammar, tables, underlines and code, which stand among the prose.
_NOT_PROSE = re.compile(r"::=|[={}<>|\\]|\*\*\*|---|\+\+|\.\. ")
_TOKEN = re.compile(
    r"\d[\w.,]*"  # a number
    r"|n't\b|[a-z_]\w*?(?=n't\b)"  # do n't
    r"|'(?:s|re|ve|ll|d|m)\b"  # it 's
    r"|[a-z_]\w*(?:[.-]\w+)*"  # built-in, sys.path
)
# Blocks of neighbouring sentences go to one split: eight to train, one to valid, one to test, and again.
_BLOCK = 25
_SPLIT_OF_BLOCK = (*("train",) * 8, "valid", "test")


def embedded_corpus() -> Corpus:
    """The embedded corpus, in memory.

    Raises:
        DataError: this Python was packaged without `pydoc_data`.
    """
    return parse_corpus(_files())


def write_embedded_corpus(directory: str | os.PathLike[str]) -> Path:
    """Write the embedded corpus as `ptb.train.txt`, `ptb.valid.txt` and `ptb.test.txt`.

    Each file appears whole or not at all, and writing it again changes nothing.

    Returns:
        The directory, made if needed, ready to be given as `--data`.

    Raises:
        DataError: the directory already holds another corpus (it is left as it is) or cannot be
            written, or this Python was packaged without `pydoc_data`.
    """
    directory = Path(directory)
    files = {directory / split_file_name(split): data for split, data in _files().items()}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        taken = [path.name for path, data in files.items() if path.exists() and path.read_bytes() != data]
        if taken:
            raise DataError(f"{directory} already holds another {', '.join(taken)}; choose a new directory")
        for path, data in files.items():
            write_atomic(path, data)
    except OSError as error:
        raise DataError(f"cannot write the embedded corpus to {directory}: {error.strerror}") from error
    return directory


def _files() -> dict[str, bytes]:
    parts: dict[str, list[list[str]]] = {split: [] for split in SPLITS}
    for position, sentence in enumerate(_sentences(_topics())):
        parts[_SPLIT_OF_BLOCK[position // _BLOCK % len(_SPLIT_OF_BLOCK)]].append(sentence)
    known = _frequent(parts["train"])
    return {split: _lines(sentences, known).encode() for split, sentences in parts.items()}


def _topics() -> list[str]:
    try:
        from pydoc_data.topics import topics
    except ImportError as error:
        raise DataError(
            "this Python lacks the module pydoc_data, whose text makes the embedded corpus; some systems "
            "package it apart (with the documentation or the full standard library)"
        ) from error
    return [topics[name] for name in sorted(topics)]


def _sentences(topics: Iterable[str]) -> Iterator[list[str]]:
    """The tokens of each sentence of prose, once: topics repeat each other, and splits must not."""
    seen: set[tuple[str, ...]] = set()
    for topic in topics:
        for paragraph in _PARAGRAPH.split(topic):
            for sentence in _SENTENCE_END.split(" ".join(paragraph.split())):
                tokens = _tokens(_BULLET.sub("", sentence))
                if len(tokens) >= 3 and tuple(tokens) not in seen:
                    seen.add(tuple(tokens))
                    yield tokens


def _tokens(sentence: str) -> list[str]:
    """Lower-case words, clitics apart, numbers as N, no punctuation; nothing for what is not prose."""
    plain = sentence.replace("’", "'")
    if not (_FIRST.match(plain) and _LAST.search(plain)) or _NOT_PROSE.search(plain):
        return []
    return [NUMBER if token[0].isdigit() else token for token in _TOKEN.findall(plain.lower())]


def _frequent(sentences: Iterable[list[str]]) -> frozenset[str]:
    """The words seen at least twice, the commonest first, so many that `<unk>` and `<eos>` still fit."""
    counts = Counter(token for sentence in sentences for token in sentence)
    repeated = [word for word, count in counts.items() if count > 1]
    return frozenset(sorted(repeated, key=lambda word: (-counts[word], word))[: MAX_TYPES - 2])


def _lines(sentences: Iterable[list[str]], known: frozenset[str]) -> str:
    replaced = ([token if token in known else UNKNOWN for token in sentence] for sentence in sentences)
    return "".join(f" {' '.join(sentence)} \n" for sentence in replaced)
