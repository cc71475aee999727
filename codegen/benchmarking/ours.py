"""The cell in every backend, and as the naive loop."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from codegen.backends import backend as named
from codegen.backends import backends
from codegen.benchmarking.contender import Contender, input_of
from codegen.benchmarking.naive import naive_loop, zero_states
from codegen.benchmarking.setting import Setting
from codegen.building import build
from codegen.errors import CodegenError
from codegen.layer import RecurrentLayer
from derive.cell import Cell
from derive.symbols import INPUT_AXIS, STATE_AXIS

NAIVE = "naive loop"
REFERENCE = "eager"
Skipped = dict[str, str]
"""Who does not take part, and why."""


def layer_of(cell: Cell, setting: Setting, backend: str = REFERENCE) -> RecurrentLayer:
    """A layer of the cell for a setting, its weights drawn from the setting's seed; axes other than n and m
    get n's size.
    """
    axes = {axis for quantity in cell.symbols.values() for axis in quantity.axes}
    sizes = dict.fromkeys(sorted(axes - {STATE_AXIS, INPUT_AXIS}), setting.units)
    features = setting.features
    if not cell.inputs:
        features = 0
    elif (axis := cell.axes(cell.inputs[0])[0]) != INPUT_AXIS:
        features = setting.units if axis == STATE_AXIS else sizes[axis]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(setting.seed)
        return build(
            cell,
            features,
            setting.units,
            sizes=sizes,
            backend=backend,
            device=setting.device,
            dtype=setting.dtype,
        )


def in_backends(
    cell: Cell, setting: Setting, eager: RecurrentLayer, wanted: Sequence[str] = ()
) -> tuple[list[Contender], Skipped]:
    """The cell in the backends wanted (none: all of them) that can run it, with eager's weights."""
    found: list[Contender] = []
    skipped: Skipped = {}
    for name, availability in backends().items():
        if wanted and name not in wanted:
            continue
        reason = named(name).refusal(cell) or ("" if availability else availability.why)
        if reason:
            skipped[name] = reason
            continue
        begin = time.perf_counter()
        try:
            layer = layer_of(cell, setting, name)
        except CodegenError as error:
            skipped[name] = str(error)
            continue
        layer.load_state_dict(eager.state_dict())
        contender = Contender(
            name,
            lambda x, layer=layer: _flat(layer(x)),  # type: ignore[misc]
            input_of(setting, layer.input_size),
            equation_parameters(layer),
            setting,
            ours=True,
        )
        contender.seconds_first = time.perf_counter() - begin
        found.append(contender)
    return found, skipped


def naive(cell: Cell, setting: Setting, eager: RecurrentLayer) -> Contender:
    """The naive loop with eager's weights."""
    module = naive_loop(cell, equation_parameters(eager))
    return looped(NAIVE, module, module, cell, setting, eager, "one product a matrix and step, nothing fused")


def looped(
    name: str,
    call: Callable[..., tuple[Tensor, ...]],
    module: nn.Module,
    cell: Cell,
    setting: Setting,
    eager: RecurrentLayer,
    about: str,
) -> Contender:
    """A contender from something that is called like the naive loop; ``module`` has the parameters."""

    def run(x: Tensor) -> tuple[Tensor, ...]:
        return call(x, *zero_states(cell, x, eager.sizes))

    x = input_of(setting, eager.input_size)
    return Contender(name, run, x, dict(module.named_parameters()), setting, about)


def equation_parameters(layer: RecurrentLayer) -> dict[str, nn.Parameter]:
    """The parameters of the first layer by the equations' names, as they are trained."""
    return {name.removeprefix("l0.cell."): p for name, p in layer.named_parameters()}


def _flat(result: tuple[Tensor, Tensor | tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    output, state = result
    states = (state,) if isinstance(state, Tensor) else state
    return output, *(s[0] for s in states)
