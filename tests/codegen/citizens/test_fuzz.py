"""Random shapes and options: every backend against eager in float64, values and gradients."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.utils.rnn import pack_sequence

import codegen
from derive import Cell
from tests.codegen.citizens.subjects import OTHERS, assert_close, flat, label, loss


@st.composite
def settings_of_a_call(draw: Any) -> dict[str, Any]:
    """Sizes, options of build, and how the data comes."""
    return {
        "sizes": (draw(st.integers(1, 9)), draw(st.integers(1, 35))),
        "steps": draw(st.integers(1, 7)),
        "batch": draw(st.integers(0, 19)),
        "packed": draw(st.booleans()),
        "state": draw(st.booleans()),
        "seed": draw(st.integers(0, 2**16)),
        "options": {
            "num_layers": draw(st.integers(1, 2)),
            "bidirectional": draw(st.booleans()),
            "batch_first": draw(st.booleans()),
            "bias": draw(st.booleans()),
        },
    }


@pytest.mark.parametrize(("name", "cell"), OTHERS, ids=label)
@settings(max_examples=10)
@given(settings_of_a_call())
def test_agrees_with_eager(name: str, cell: Cell, case: dict[str, Any]) -> None:
    torch.manual_seed(case["seed"])
    m, n = case["sizes"]
    layers = [
        codegen.build(cell, m, n, backend=b, dtype=torch.float64, **case["options"]) for b in (name, "eager")
    ]
    layers[1].load_state_dict(layers[0].state_dict())
    steps, batch = case["steps"], case["batch"]
    if case["packed"]:
        batch = max(1, batch)
        lengths = torch.randint(1, steps + 1, (batch,)).tolist()
        leaves = [torch.randn(length, m).double().requires_grad_() for length in lengths]
        x: Any = pack_sequence(leaves, enforce_sorted=False)
    else:
        shape = (batch, steps, m) if case["options"]["batch_first"] else (steps, batch, m)
        x = torch.randn(shape).double().requires_grad_()
        leaves = [x]
    state: Any = None
    if case["state"]:
        rows = case["options"]["num_layers"] * (1 + case["options"]["bidirectional"])
        initial = [torch.randn(rows, batch, n).double().requires_grad_() for _ in cell.states]
        leaves = [*leaves, *initial]
        state = initial[0] if len(initial) == 1 else tuple(initial)
    results = [layer(x, state) for layer in layers]
    assert_close(*([v.detach() for v in flat(r)] for r in results))
    found = [
        torch.autograd.grad(loss(r), [*leaves, *layer.parameters()], retain_graph=True)  # of the packing
        for r, layer in zip(results, layers, strict=True)
    ]
    assert_close(*found, tolerance=1e-10)
