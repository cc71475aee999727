"""Every backend across processes, copies and files: DDP, pickles, checkpoints, state dicts, two loads."""

from __future__ import annotations

import copy
import pickle  # noqa: TID251  layers must survive it, as torch's do
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.nn.utils import parametrizations
from torch.utils.checkpoint import checkpoint

import codegen
from codegen import load
from codegen.backends import backend
from codegen.generated import lowered
from derive import Cell
from tests.codegen.citizens.subjects import (
    FIRST,
    PAIRS,
    B,
    M,
    N,
    T,
    assert_close,
    assert_same,
    flat,
    label,
    loss,
    sample,
    twins,
)

every = pytest.mark.parametrize(("name", "cell"), PAIRS, ids=label)
first = pytest.mark.parametrize(("name", "cell"), FIRST, ids=label)


@every
def test_copies_and_pickles(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell)
    layer(sample())
    for copied in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert type(copied.l0) is type(layer.l0)
        assert_same(copied, twin, sample().requires_grad_())


@every
def test_state_dicts_fit_every_backend(name: str, cell: Cell, tmp_path: Path) -> None:
    layer, twin = twins(name, cell, num_layers=2, trainable_state=True)
    assert list(layer.state_dict()) == list(twin.state_dict())
    torch.save(layer.state_dict(), tmp_path / "saved.pt")
    other = codegen.build(
        cell, M, N, num_layers=2, trainable_state=True, backend="eager", dtype=torch.float64
    )
    other.load_state_dict(torch.load(tmp_path / "saved.pt", weights_only=True))
    assert_same(layer, other, sample().requires_grad_())
    other.load_state_dict({k: v + 0.1 for k, v in other.state_dict().items()})
    layer.load_state_dict(other.state_dict())
    assert_same(layer, other, sample().requires_grad_())


@every
def test_checkpointing(name: str, cell: Cell) -> None:
    layer, twin = twins(name, cell)
    x = sample().requires_grad_()
    saved = torch.autograd.grad(loss(checkpoint(layer, x, use_reentrant=False)), [x, *layer.parameters()])
    assert_close(saved, torch.autograd.grad(loss(twin(x)), [x, *twin.parameters()]))


@first
def test_parametrizations(name: str, cell: Cell) -> None:
    """Weight normalization of a matrix of the cell: the same values, and gradients to both of its parts."""
    matrix = next(n for n, axes in cell.parameters.items() if len(axes) == 2)
    layer, twin = twins(name, cell)
    for module in (layer, twin):
        parametrizations.weight_norm(module.l0.cell, matrix)
    x = sample().requires_grad_()
    assert len(list(layer.parameters())) == len(cell.parameters) + 1
    assert_same(layer, twin, x)


@first
def test_the_same_file_loaded_twice(name: str, cell: Cell) -> None:
    """Two modules with one name of the operators: neither breaks the other."""
    layer, twin = twins(name, cell)
    source = backend(name).module(lowered(cell))
    again = load.load(source, f"again_{name}")
    assert again.__name__ != type(layer.l0).__module__
    other = getattr(again, type(layer.l0).__name__)(M, N, dtype=torch.float64)
    other.load_state_dict(layer.l0.state_dict())
    torch._dynamo.reset()
    both = [] if name == "eager" else [layer.l0, other]
    compiled = [torch.compile(module, fullgraph=True, backend="aot_eager") for module in both]
    x = sample()
    expected = [v.squeeze(0) if k else v for k, v in enumerate(flat(twin(x)))]
    for module in (other, layer.l0, *compiled):
        found = flat(module(x))
        assert_close([v.detach() for v in found], [v.detach() for v in expected])
        gradients = torch.autograd.grad(sum(v.sum() for v in found), list(module.parameters()))  # type: ignore[arg-type]
        assert all(g.abs().sum() > 0 for g in gradients)
    del sys.modules[again.__name__]


def _trained(rank: int, data: bytes, rendezvous: str, answers: Any) -> None:
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=rendezvous, rank=rank, world_size=2)
    for name, model, x in pickle.loads(data):
        parallel = DistributedDataParallel(model)
        output, _ = parallel(x[:, rank::2])
        output.sin().mean().backward()
        values = [output.detach(), *(p.grad for p in model.parameters())]
        answers.put((rank, name, [value.tolist() for value in values]))
    torch.distributed.destroy_process_group()


@pytest.mark.slow
@pytest.mark.skipif(not torch.distributed.is_available(), reason="torch without distributed")
def test_distributed_data_parallel(tmp_path: Path) -> None:
    """In two processes that unpickle them, each with half of the batch: the gradients of the whole batch."""
    x = sample(T, 2 * B, M)
    layers = [(name, twins(name, cell)[0], x) for name, cell in FIRST]
    spawning = get_context("forkserver")
    spawning.set_forkserver_preload([_trained.__module__])  # import torch once, not once a process
    answers = spawning.Queue()
    arguments = (pickle.dumps(layers), (tmp_path / "rendezvous").as_uri(), answers)
    processes = [spawning.Process(target=_trained, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    found = {(rank, name): g for rank, name, g in (answers.get(timeout=120) for _ in range(2 * len(FIRST)))}
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    for name, cell in FIRST:
        _, twin = twins(name, cell)
        output, _ = twin(x)
        gradients = torch.autograd.grad(output.sin().mean(), list(twin.parameters()))
        for rank in range(2):
            values = [torch.tensor(v, dtype=torch.float64) for v in found[rank, name]]
            assert_close(values, [output.detach()[:, rank::2], *gradients])


def test_nothing_but_the_source_is_needed_to_unpickle() -> None:
    """An attached module and a hook come along."""
    layer = codegen.build("gru", M, N, backend="fused")
    layer.head = nn.Linear(N, 1)
    twin = pickle.loads(pickle.dumps(layer))
    assert twin.head.weight.equal(layer.head.weight)
