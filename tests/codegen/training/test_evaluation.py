"""The loss in its three units, against a slow NumPy reading of the definition."""

import itertools
import math

import numpy as np
import pytest
import torch

from codegen.errors import DataError
from codegen.training.evaluation import Loss, evaluate
from codegen.training.initialization import initialize
from codegen.training.model import LanguageModel
from tests.codegen.training.standin import make_config, make_corpus, make_files, make_model


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def slow_losses(lm: LanguageModel, text: bytes, batch_size: int) -> np.ndarray:
    """-log p of each word but the first of each row of the text, one word at a time: (batch_size, words)."""
    words = text.decode().replace("\n", " <eos> ").split()
    vocabulary = list(dict.fromkeys(make_files()["train"].decode().replace("\n", " <eos> ").split()))
    p = {name: weight.numpy() for name, weight in lm.layer.equation_parameters().items()}
    embedding, weight, bias = (
        w.detach().numpy() for w in (lm.embedding.weight, lm.decoder.weight, lm.decoder.bias)
    )
    length = len(words) // batch_size
    losses = np.zeros((batch_size, length - 1))
    for row in range(batch_size):
        h = c = np.zeros(weight.shape[1])
        part = words[row * length : (row + 1) * length]
        for step, (word, following) in enumerate(itertools.pairwise(part)):
            x = embedding[vocabulary.index(word)]
            i, f, g, o = (p[f"U_{k}"] @ x + p[f"W_{k}"] @ h + p[f"b_{k}"] for k in "ifgo")
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
            logits = weight @ h + bias
            losses[row, step] = np.log(np.exp(logits).sum()) - logits[vocabulary.index(following)]
    return losses


@pytest.mark.parametrize("split", ["valid", "test"])
def test_against_numpy(split: str) -> None:
    config, corpus = make_config(seed=5), make_corpus()
    lm = make_model(config, corpus).double()
    initialize(lm, "glorot", seed=5)
    with torch.no_grad():  # far from uniform predictions, so that the order of words matters
        for weight in lm.parameters():
            weight.mul_(3)
    loss = evaluate(lm, getattr(corpus, split), config.batch_size, config.bptt)

    slow = slow_losses(lm, make_files()[split], config.batch_size)
    windows = slow.shape[1] // config.bptt
    assert windows == loss.batches
    counted = slow[:, : windows * config.bptt]
    by_batch = [counted[:, k * config.bptt : (k + 1) * config.bptt].mean() for k in range(windows)]
    assert loss.article == pytest.approx(sum(by_batch), rel=1e-12)
    assert loss.nats == pytest.approx(counted.mean(), rel=1e-12)
    assert loss.perplexity == pytest.approx(2 ** np.log2(np.exp(counted)).mean(), rel=1e-12)


def test_model_is_left_as_it_was() -> None:
    config, corpus = make_config(), make_corpus()
    lm = make_model(config, corpus)
    modes: list[bool] = []
    lm.train()
    evaluate(lm, corpus.valid, 4, 5, on_batch=lambda: modes.append(lm.training))
    assert modes == [False] * 13
    assert lm.training
    assert all(weight.grad is None for weight in lm.parameters())


def test_too_few_tokens() -> None:
    config, corpus = make_config(), make_corpus()
    with pytest.raises(DataError, match="too few"):
        evaluate(make_model(config, corpus), corpus.valid, 30, 30)


def test_units() -> None:
    loss = Loss(396.6, 81)  # the contract's example
    assert loss.nats == pytest.approx(4.896, abs=5e-4)
    assert loss.perplexity == pytest.approx(133.8, abs=0.1)
    assert Loss(1e4, 1).perplexity == math.inf
