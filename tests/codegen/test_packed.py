"""Packed sequences: against torch, and against running each sequence alone."""

import pytest
import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pack_sequence, unpack_sequence

import codegen
from codegen.errors import Unsupported

M, N = 2, 4
OPTIONS = [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}]
LENGTHS = {"sorted": (5, 3, 3, 1), "unsorted": (3, 5, 1, 3), "equal": (4, 4), "one": (3,)}


def sequences(lengths: tuple[int, ...]) -> list[torch.Tensor]:
    return [torch.randn(length, M, dtype=torch.float64) for length in lengths]


@pytest.mark.parametrize("lengths", LENGTHS)
@pytest.mark.parametrize(
    "options", [{}, {"num_layers": 2, "bidirectional": True}, {"batch_first": True}], ids=str
)
@pytest.mark.parametrize("given_state", [True, False])
def test_is_what_torch_gives(lengths: str, options, given_state: bool) -> None:
    theirs = nn.LSTM(M, N, dtype=torch.float64, **options)
    ours = codegen.build("lstm", M, N, dtype=torch.float64, **options).from_torch(theirs)
    packed = pack_sequence(sequences(LENGTHS[lengths]), enforce_sorted=lengths != "unsorted")
    rows = options.get("num_layers", 1) * (1 + options.get("bidirectional", False))
    batch = len(LENGTHS[lengths])
    state = tuple(torch.randn(rows, batch, N, dtype=torch.float64) for _ in "hc") if given_state else None
    (mine, last), (reference, reference_last) = ours(packed, state), theirs(packed, state)
    assert isinstance(mine, PackedSequence)
    assert torch.equal(mine.batch_sizes, reference.batch_sizes)
    pairs = [(mine.data, reference.data), *zip(last, reference_last, strict=True)]
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in pairs)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_is_each_sequence_alone(bidirectional: bool) -> None:
    layer = codegen.build("gru", M, N, dtype=torch.float64, bidirectional=bidirectional)
    alone = sequences(LENGTHS["unsorted"])
    output, state = layer(pack_sequence(alone, enforce_sorted=False))
    for index, (sequence, found) in enumerate(zip(alone, unpack_sequence(output), strict=True)):
        expected, last = layer(sequence)
        assert torch.allclose(found, expected, rtol=0, atol=1e-12)
        assert torch.allclose(state[:, index], last, rtol=0, atol=1e-12)


def test_gradients_reach_every_sequence() -> None:
    layer = codegen.build("gru", M, N, dtype=torch.float64, bidirectional=True)
    alone = [s.requires_grad_() for s in sequences(LENGTHS["unsorted"])]
    output, state = layer(pack_sequence(alone, enforce_sorted=False))
    packed = torch.autograd.grad(output.data.square().sum() + state.sum(), alone)
    for sequence, gradient in zip(alone, packed, strict=True):
        single, last = layer(sequence)
        (expected,) = torch.autograd.grad(single.square().sum() + last.sum(), sequence)
        assert torch.allclose(gradient, expected, rtol=0, atol=1e-12)


def test_no_padding_is_computed() -> None:
    """The rows that the generated layer sees are exactly those of the packed data."""
    layer = codegen.build("gru", M, N, dtype=torch.float64)
    seen: list[int] = []
    layer.l0.register_forward_pre_hook(lambda module, args: seen.append(args[0].shape[0] * args[0].shape[1]))
    packed = pack_sequence(sequences(LENGTHS["sorted"]))
    layer(packed)
    assert sum(seen) == len(packed.data)


def test_trace_of_a_packed_sequence_is_refused() -> None:
    layer = codegen.build("gru", M, N, dtype=torch.float64)
    with pytest.raises(Unsupported, match="trace takes a tensor"):
        layer.trace(pack_sequence(sequences((3, 2))))
