"""What others offer: torch's own layers, ``torch.jit.script``, ``torch.compile``."""

from __future__ import annotations

import time
import warnings
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor, nn

from codegen import reference
from codegen.benchmarking.contender import Contender, input_of
from codegen.benchmarking.naive import naive_loop
from codegen.benchmarking.ours import NAIVE, Skipped, equation_parameters, looped
from codegen.benchmarking.setting import Setting
from codegen.layer import RecurrentLayer
from derive.cell import Cell

LSTM, GRU = "nn.LSTM", "nn.GRU"
YARDSTICKS: dict[str, Any] = {LSTM: nn.LSTM, GRU: nn.GRU}
"""The layers that every cell is measured against, whatever it computes."""
SCRIPT, COMPILE = f"{NAIVE}, torch.jit.script", f"{NAIVE}, torch.compile"


@lru_cache(maxsize=64)
def torch_layer_of(cell: Cell) -> str | None:
    """The layer of torch that computes the cell: ``nn.LSTM``; None where torch has none."""
    found = reference.find(cell)
    return None if found is None else f"nn.{found[0].module.__name__}"


def torch_layers(cell: Cell, setting: Setting, eager: RecurrentLayer) -> list[Contender]:
    """torch's layer for the cell, with eager's weights, where it has one; and the yardsticks."""
    own = torch_layer_of(cell)
    found = []
    if own is not None:
        found.append(_layer(own, eager.to_torch(), setting, eager.input_size, same_cell=True))
    for name, make in YARDSTICKS.items():
        if name != own:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(setting.seed)
                module = make(setting.features, setting.units, device=setting.device, dtype=setting.dtype)
            found.append(_layer(name, module, setting, setting.features, same_cell=False))
    return found


def _layer(name: str, module: nn.Module, setting: Setting, features: int, *, same_cell: bool) -> Contender:
    def run(x: Tensor) -> tuple[Tensor, ...]:
        output, _ = module(x)
        return (output,)

    about = "the same cell, the same weights" if same_cell else "another cell: a yardstick"
    x = input_of(setting, features)
    return Contender(name, run, x, dict(module.named_parameters()), setting, about, same_cell)


def scripted(cell: Cell, setting: Setting, eager: RecurrentLayer) -> tuple[list[Contender], Skipped]:
    """The naive loop through ``torch.jit.script``, or why not."""
    module = naive_loop(cell, equation_parameters(eager))
    begin = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
            made = torch.jit.script(module)
    except (RuntimeError, torch.jit.frontend.NotSupportedError) as error:
        return [], {SCRIPT: _first_line(error)}
    found = looped(SCRIPT, made, module, cell, setting, eager, "the loop compiled by TorchScript")
    found.seconds_first = time.perf_counter() - begin
    return [found], {}


def compiled(cell: Cell, setting: Setting, eager: RecurrentLayer) -> tuple[list[Contender], Skipped]:
    """The naive loop through ``torch.compile``, unrolled and compiled here and now, or why not."""
    module = naive_loop(cell, equation_parameters(eager))
    begin = time.perf_counter()
    try:
        made = torch.compile(module, dynamic=False)
        found = looped(COMPILE, made, module, cell, setting, eager, "the loop unrolled and compiled")
        found()
    except RuntimeError as error:  # what Dynamo and Inductor raise derives from it
        return [], {COMPILE: _first_line(error)}
    found.seconds_first = time.perf_counter() - begin
    return [found], {}


def _first_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else 'no message'}"
