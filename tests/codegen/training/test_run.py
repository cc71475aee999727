"""A training step by step: what it logs, when it stops, how it fails."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from codegen.errors import TrainingError
from codegen.training.checkpoint import load_checkpoint, load_weights
from codegen.training.evaluation import Loss, evaluate
from codegen.training.initialization import initialize
from codegen.training.log import EpochReport, StepReport
from codegen.training.loop import train
from codegen.training.model import LanguageModel, State
from codegen.training.run import adam, should_stop
from codegen.training.tasks import language
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.standin import make_config, make_corpus, make_model


def records(run_dir: Path, event: str) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (run_dir / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["event"] == event]


@pytest.mark.parametrize(
    ("losses", "stop"),
    [
        ([5], False),
        ([5, 6], False),
        ([5, 6, 5.5], True),
        ([5, 5, 5], True),
        ([5, 6, 4], False),
        ([5, 6, 4, 4], False),
        ([5, 6, 4, 4, 4], True),
        ([5, 4, 4.5, 3.9, 4.2], False),
        ([6, 5, 4, 3, 2, 1], True),  # the sixth epoch of six
    ],
)
def test_should_stop(losses: list[float], stop: bool) -> None:
    assert should_stop(losses, epochs=6, patience=2) is stop


def test_stops_by_patience_and_keeps_the_best(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = iter([50.0, 40.0, 40.0, 41.0, 30.0])
    monkeypatch.setattr(language, "evaluate", lambda *a, **k: Loss(next(losses), 13))
    config, corpus = make_config(epochs=20, patience=2), make_corpus()
    model = make_model(config, corpus)
    after: dict[int, Tensor] = {}

    def keep(report: EpochReport) -> None:
        after[report.epoch] = model.decoder.weight.detach().clone()

    result = train(model, LanguageTask(corpus, config), config, tmp_path, on_epoch=keep)
    assert [report.valid.article for report in result.history] == [50.0, 40.0, 40.0, 41.0]
    assert [report.best for report in result.history] == [True, True, False, False]
    assert result.best.epoch == 2
    best = make_model(config, corpus)
    load_weights(result.weights, best)
    assert torch.equal(best.decoder.weight, after[2])
    assert not torch.equal(after[2], after[4])


def test_log_accounts_for_every_step(tmp_path: Path) -> None:
    config, corpus = make_config(), make_corpus()
    model = make_model(config, corpus)
    told: list[StepReport] = []
    result = train(model, LanguageTask(corpus, config), config, tmp_path, on_step=told.append)
    steps, epochs = records(tmp_path, "step"), records(tmp_path, "epoch")
    assert [(line["epoch"], line["step"]) for line in steps] == [
        (e, s) for e in (1, 2, 3) for s in range(1, 41)
    ]
    assert [report.as_record() for report in told] == steps
    for line, report in zip(epochs, result.history, strict=True):
        mine = [step for step in steps if step["epoch"] == line["epoch"]]
        assert line["train_article"] == pytest.approx(sum(step["loss"] for step in mine), rel=1e-12)
        assert line["train_batches"] == 40
        assert line["max_state"] == mine[-1]["max_state"] == max(step["max_state"] for step in mine)
        assert EpochReport.from_record(line) == report
    assert result.history[-1].valid.article < result.history[0].valid.article, "it learns"
    assert result.history[-1].valid == evaluate(model, corpus.valid, config.batch_size, config.bptt)
    assert [line["seconds"] for line in steps] == sorted(line["seconds"] for line in steps)


def test_log_every(tmp_path: Path) -> None:
    config, corpus = make_config(log_every=15, epochs=1), make_corpus()
    train(make_model(config, corpus), LanguageTask(corpus, config), config, tmp_path)
    assert [line["step"] for line in records(tmp_path, "step")] == [15, 30]


class Watched(LanguageModel):
    """Keeps what goes through `loss`, and can spoil it."""

    states_in: list[State | None]
    states_out: list[State]
    losses: list[float]
    spoil_step: int | None = None
    spoil_state: int | None = None

    def loss(self, tokens: Tensor, targets: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        loss, after = super().loss(tokens, targets, state)
        if self.training:
            self.states_in.append(state)
            self.states_out.append(after)
            if len(self.losses) + 1 == self.spoil_step:
                loss = loss * math.nan
            if len(self.losses) + 1 == self.spoil_state:
                after = tuple(tensor * math.inf for tensor in after)
            self.losses.append(loss.item())
        return loss, after


def watched(**changes: Any) -> tuple[Watched, Any, Any]:
    config, corpus = make_config(**changes), make_corpus()
    model = make_model(config, corpus)
    model.__class__ = Watched
    assert isinstance(model, Watched)
    model.states_in, model.states_out, model.losses = [], [], []
    return model, corpus, config


def test_state_is_carried_detached_and_zero_in_each_epoch(tmp_path: Path) -> None:
    model, corpus, config = watched(epochs=2)
    train(model, LanguageTask(corpus, config), config, tmp_path)
    assert len(model.states_in) == 80
    for step, state in enumerate(model.states_in):
        if step % 40 == 0:
            assert state is None
            continue
        assert isinstance(state, tuple)
        for given, left in zip(state, model.states_out[step - 1], strict=True):
            assert torch.equal(given, left)
            assert not given.requires_grad
    peaks = [max(t.abs().max().item() for t in state) for state in model.states_out[:40]]
    assert records(tmp_path, "epoch")[0]["max_state"] == max(peaks)


def test_nan_loss_stops_the_run(tmp_path: Path) -> None:
    model, corpus, config = watched()
    model.spoil_step = 52
    with pytest.raises(TrainingError, match=r"the loss became nan at epoch 2, step 12 of 40") as caught:
        train(model, LanguageTask(corpus, config), config, tmp_path)
    peak = records(tmp_path, "step")[-1]["max_state"]
    for part in (
        f"the last finite loss was {model.losses[50]:.4g}",
        f"|state| {peak:.4g}",
        "0.001 was given; try 0.0003",
        "clip the",
    ):
        assert part in str(caught.value)
    (line,) = records(tmp_path, "diverged")
    assert (line["epoch"], line["step"], line["value"]) == (2, 12, "nan")
    assert line["last_finite_loss"] == model.losses[50]
    assert len(records(tmp_path, "step")) == 51
    assert load_checkpoint(tmp_path / "last.safetensors").progress.step == 7, "the last before it"


def test_infinite_state_stops_the_run(tmp_path: Path) -> None:
    model, corpus, config = watched(clip=1.0)
    model.spoil_state = 3
    with pytest.raises(
        TrainingError, match=r"the state became (inf|nan) at epoch 1, step 3 .*or clip below 1,"
    ):
        train(model, LanguageTask(corpus, config), config, tmp_path)
    assert records(tmp_path, "diverged")[0]["what"] == "state"


def test_absurd_learning_rate_diverges_by_itself(tmp_path: Path) -> None:
    config, corpus = make_config(learning_rate=1e38), make_corpus()
    with pytest.raises(TrainingError, match=r"became (nan|inf) at epoch 1, step 2 .*1e\+38 was given"):
        train(make_model(config, corpus), LanguageTask(corpus, config), config, tmp_path)


def test_infinite_gradient_stays_out_of_the_checkpoint(tmp_path: Path) -> None:
    """The loss of step 7, after which a checkpoint is due, is finite; the weights after it are not."""
    config, corpus = make_config(), make_corpus()
    model = make_model(config, corpus)
    calls: list[int] = []

    def spoil(gradient: Tensor) -> Tensor:
        calls.append(1)
        return gradient * math.inf if len(calls) == 7 else gradient

    model.decoder.bias.register_hook(spoil)
    with pytest.raises(TrainingError, match="the weights became nan at epoch 1, step 7"):
        train(model, LanguageTask(corpus, config), config, tmp_path)
    assert len(records(tmp_path, "step")) == 7
    assert not (tmp_path / "last.safetensors").exists()


def test_infinite_validation_loss(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language, "evaluate", lambda *a, **k: Loss(math.inf, 13))
    config, corpus = make_config(), make_corpus()
    with pytest.raises(TrainingError, match="the validation loss became inf at epoch 1, step 40 of 40"):
        train(make_model(config, corpus), LanguageTask(corpus, config), config, tmp_path)
    assert not (tmp_path / "best.safetensors").exists()


def test_steps_are_adam_on_the_whole_model(tmp_path: Path) -> None:
    """Five steps against Adam written out (Kingma and Ba, 2015, algorithm 1)."""
    config, corpus = make_config(epochs=1, clip=0.5), make_corpus()
    model = make_model(config, corpus)
    mine = make_model(config, corpus)
    initialize(mine, config.initialization, biases=config.biases, seed=config.seed)
    weights = [weight for weight in mine.parameters() if weight.requires_grad]
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    rows = corpus.train[: len(corpus.train) // 4 * 4].view(4, -1).T
    state: State | None = None
    losses = []
    for step in range(1, 6):
        window = rows[5 * (step - 1) : 5 * step + 1]
        loss, carried = mine.loss(window[:-1], window[1:], state)
        losses.append(loss.item())
        state = tuple(tensor.detach() for tensor in carried)
        gradients = torch.autograd.grad(loss, weights)
        norm = torch.stack([gradient.square().sum() for gradient in gradients]).sum().sqrt()
        scale = min(1.0, 0.5 / norm.item())
        with torch.no_grad():
            for weight, gradient, m, v in zip(weights, gradients, first, second, strict=True):
                m.lerp_(gradient * scale, 0.1)
                v.lerp_((gradient * scale).square(), 0.001)
                weight -= 1e-3 * (m / (1 - 0.9**step)) / ((v / (1 - 0.999**step)).sqrt() + 1e-8)
    train(model, LanguageTask(corpus, config), config, tmp_path)
    logged = [line["loss"] for line in records(tmp_path, "step")]
    assert logged[:5] == pytest.approx(losses, rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_optimizer_is_the_plain_adam_to_rounding(dtype: torch.dtype) -> None:
    """Twelve steps on the same gradients; some words of the embedding occur once and then never again."""
    torch.manual_seed(0)
    config, corpus = make_config(), make_corpus()
    model, other = make_model(config, corpus).to(dtype), make_model(config, corpus).to(dtype)
    other.load_state_dict(model.state_dict())
    mine, plain = adam(model, 3e-3), torch.optim.Adam(other.parameters(), 3e-3, foreach=False)
    assert mine.param_groups[0]["fused"]
    eps = torch.finfo(dtype).eps
    for step in range(12):
        tokens, targets = torch.randint(12 if step == 0 else 4, (2, 5, 4))
        mine.zero_grad()
        model.loss(tokens, targets)[0].backward()
        for weight, its in zip(model.parameters(), other.parameters(), strict=True):
            its.grad = None if weight.grad is None else weight.grad.clone()
        before = model.embedding.weight.detach().clone()
        mine.step()
        plain.step()
        torch.testing.assert_close(model.state_dict(), other.state_dict(), rtol=20 * eps, atol=eps / 10)
    words = model.embedding.weight
    once = words.grad.eq(0).all(1) & mine.state[words]["exp_avg"].ne(0).any(1)
    assert once.any()
    assert (words[once] != before[once]).any(1).all(), "moments go on without a gradient"
