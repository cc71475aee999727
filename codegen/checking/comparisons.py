"""The comparisons that make a check."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from codegen import reference
from codegen.backends import AUTO, choose
from codegen.backends.base import Use
from codegen.building import build
from codegen.checking.gradients import (
    array,
    as_state,
    as_tuple,
    by_complex_step,
    by_differences,
    run,
    tensor_like,
)
from codegen.checking.report import DIFFERENCES, FLOAT32, FLOAT64, CheckReport, Comparison, compare
from codegen.checking.sample import BATCH, STEPS, UNITS, Array, Sample, draw
from codegen.layer import RecurrentLayer
from derive.catalogue import cell as catalogued
from derive.cell import Cell
from derive.errors import MalformedCell
from derive.evaluate import evaluate


def check(cell: Cell | str, backend: str = AUTO, *, device: str = "cpu", seed: int = 0) -> CheckReport:
    """Compare a cell's generated code with the evaluator, with itself used in other ways, and with torch.

    Values, last states and all gradients; in float64 (1e-10) and float32 (1e-5).  Errors of the request
    raise (:class:`~codegen.errors.UnknownBackend`, :class:`derive.UnknownCell`, …); wrong numbers are what
    the report is for.  With ``"auto"`` the backend checked is the one that a float32 layer gets there; the
    report says which and why.
    """
    chosen = catalogued(cell)
    writer, why = choose(backend, chosen, Use(torch.device(device).type, "float32", UNITS))
    subject = Subject(chosen, writer.name, device, seed)
    groups = (values, gradients, single_precision, ways_of_use, options, torch_twin)
    found = tuple(c for group in groups for c in group(subject))
    return CheckReport(chosen.name, writer.name, found, why)


@dataclass(frozen=True)
class Subject:
    """What is checked, and with which numbers."""

    cell: Cell
    backend: str
    device: str
    seed: int

    def sample(self, cell: Cell | None = None, **sizes: int) -> Sample:
        return draw(cell or self.cell, self.seed, **sizes)

    def layer(self, sample: Sample, dtype: torch.dtype = torch.float64, **options: Any) -> RecurrentLayer:
        """A layer with the sample's parameters in every layer and direction whose shapes allow it."""
        others = {axis: size for axis, size in sample.sizes.items() if axis not in ("n", "m")}
        layer = build(
            self.cell,
            sample.sizes["m"],
            sample.sizes["n"],
            backend=self.backend,
            device=self.device,
            dtype=dtype,
            sizes=others,
            **options,
        )
        with torch.no_grad():
            for name, parameter in layer.equation_parameters().items():
                assert parameter is not None
                parameter.copy_(torch.as_tensor(sample.parameters[name]))
        return layer


def values(subject: Subject) -> Iterator[Comparison]:
    """Outputs, last states and every vector against the evaluator."""
    sample = subject.sample()
    layer = subject.layer(sample)
    found, (outputs, last) = run(sample, layer), sample.values()
    yield compare("outputs, float64", [(array(found.output), outputs)], FLOAT64)
    yield compare("last state, float64", _zip_arrays(found.last, last), FLOAT64)
    like = tensor_like(layer)
    trace = layer.trace(like(sample.inputs), as_state(tuple(like(s) for s in sample.state)))
    expected = sample.vectors()
    yield compare(
        "every vector over time", [(array(trace[name]), v) for name, v in expected.items()], FLOAT64
    )


def gradients(subject: Subject) -> Iterator[Comparison]:
    """All gradients in three ways, and torch's own gradcheck."""
    sample = subject.sample()
    layer = subject.layer(sample)
    found = run(sample, layer).gradients()
    yield compare("gradients against complex step", found.pairs(by_complex_step(sample)), FLOAT64)
    yield compare(
        "gradients against central differences", found.pairs(by_differences(sample, layer)), DIFFERENCES
    )
    yield Comparison("torch.autograd.gradcheck (0 passes, 1 fails)", 0.0 if _gradcheck(subject) else 1.0, 0.5)


def _gradcheck(subject: Subject) -> bool:
    sample = subject.sample(steps=2, batch=1)
    layer = subject.layer(sample)
    named = dict(layer.named_parameters())
    like = tensor_like(layer)
    leaves = [p.detach().clone().requires_grad_() for p in named.values()]
    leaves += [like(v).requires_grad_() for v in (sample.inputs, *(s[None] for s in sample.state)) if v.size]
    count = len(named)

    def function(*tensors: Tensor) -> tuple[Tensor, ...]:
        rest = list(tensors[count:])
        x = rest.pop(0) if sample.inputs.size else like(sample.inputs)
        state: Any = rest[0] if len(rest) == 1 else tuple(rest)
        parameters = dict(zip(named, tensors[:count], strict=True))
        output, last = torch.func.functional_call(layer, parameters, (x, state))
        return tuple(v for v in (output, *as_tuple(last)) if v.numel() and v.requires_grad)

    return bool(torch.autograd.gradcheck(function, leaves, raise_exception=False, fast_mode=False))


def single_precision(subject: Subject) -> Iterator[Comparison]:
    """float32 against the evaluator's float64."""
    sample = subject.sample()
    layer = subject.layer(sample, torch.float32)
    found, (outputs, last) = run(sample, layer), sample.values()
    pairs = [(array(found.output), outputs), *_zip_arrays(found.last, last)]
    yield compare("outputs and last state, float32", pairs, FLOAT32)
    exact = run(sample, subject.layer(sample)).gradients()
    yield compare("gradients, float32", found.gradients().pairs(exact), FLOAT32)


def ways_of_use(subject: Subject) -> Iterator[Comparison]:
    """The same numbers however the layer is called."""
    sample = subject.sample()
    layer = subject.layer(sample)
    like = tensor_like(layer)
    x, state = like(sample.inputs), as_state(tuple(like(s) for s in sample.state))
    whole = [array(v) for v in _flat(layer(x, state))]
    yield compare("chunked", zip(_chunked(layer, x, state), whole, strict=True), FLOAT64)
    yield compare("step by step", zip(_stepwise(layer, x, state), whole, strict=True), FLOAT64)
    other = subject.layer(sample, batch_first=True)
    output, last = other(x.transpose(0, 1), state)
    pairs = zip(map(array, _flat((output.transpose(0, 1), last))), whole, strict=True)
    yield compare("batch first", pairs, FLOAT64)
    singles = [layer(x[:, b], _each(state, lambda s, b=b: s[:, b])) for b in range(BATCH)]
    pairs = zip(
        (array(torch.stack(v, 1)) for v in zip(*map(_flat, singles), strict=True)), whole, strict=True
    )
    yield compare("one sequence at a time", pairs, FLOAT64)
    if subject.cell.inputs:  # torch does not pack sequences without features
        yield compare("packed against one at a time", _packed(layer, x, state), FLOAT64)


def _chunked(layer: RecurrentLayer, x: Tensor, state: Any) -> list[Array]:
    first, middle = layer(x[: STEPS // 2], state)
    second, last = layer(x[STEPS // 2 :], middle)
    return [array(v) for v in _flat((torch.cat([first, second]), last))]


def _stepwise(layer: RecurrentLayer, x: Tensor, state: Any) -> list[Array]:
    outputs = []
    for x_t in x:
        output, state = layer.step(x_t, state)
        outputs.append(output)
    return [array(v) for v in _flat((torch.stack(outputs), state))]


def _packed(layer: RecurrentLayer, x: Tensor, state: Any) -> Iterator[tuple[Array, Array]]:
    """Sequences of different lengths, not sorted, in one packed batch and one by one."""
    lengths = [STEPS - 1 - b if b % 2 == 0 else STEPS for b in range(BATCH)]
    packed, last = layer(pack_padded_sequence(x, torch.tensor(lengths), enforce_sorted=False), state)
    padded, _ = pad_packed_sequence(packed, total_length=STEPS)
    for b, length in enumerate(lengths):
        single = layer(x[:length, b], _each(state, lambda s, b=b: s[:, b]))
        batch = (padded[:length, b], _each(last, lambda s, b=b: s[:, b]))
        yield from zip(map(array, _flat(batch)), map(array, _flat(single)), strict=True)


def options(subject: Subject) -> Iterator[Comparison]:
    """Without biases, and two layers in both directions, against the evaluator."""
    if (unbiased := _without_biases(subject.cell)) is not None:
        bare = subject.sample(unbiased)
        found, (outputs, last) = run(bare, subject.layer(bare, bias=False)), bare.values()
        yield compare(
            "without biases", [(array(found.output), outputs), *_zip_arrays(found.last, last)], FLOAT64
        )
    if subject.cell.inputs and subject.cell.output and "m" in subject.cell.axes(subject.cell.inputs[0]):
        yield compare("two layers, both directions", _two_layers(subject), FLOAT64)


def _without_biases(cell: Cell) -> Cell | None:
    """The cell without biases, if it has some and is still a cell without them (σ(b) would be nothing)."""
    try:
        return cell.without_biases() if cell.biases else None
    except MalformedCell:
        return None


def _two_layers(subject: Subject) -> Iterator[tuple[Array, Array]]:
    sample = subject.sample()
    layer = subject.layer(sample, num_layers=2, bidirectional=True)
    output, last = layer(tensor_like(layer)(sample.inputs))
    data, lasts = sample.inputs, []
    zeros = tuple(np.zeros_like(s) for s in sample.state)
    for _, pair in _by_layer(layer):
        forward, backward = (
            {n: array(getattr(half.cell, n)) for n in subject.cell.parameters} for half in pair
        )
        there, last_there = evaluate(subject.cell, forward, data, zeros)
        back, last_back = evaluate(subject.cell, backward, data[::-1], zeros)
        data = np.concatenate([there, back[::-1]], -1)
        lasts += [last_there, last_back]
    yield array(output), data
    yield from zip(map(array, as_tuple(last)), (np.stack(s) for s in zip(*lasts, strict=True)), strict=True)


def _by_layer(layer: RecurrentLayer) -> Iterator[tuple[int, tuple[Any, Any]]]:
    modules = list(layer.children())
    yield from enumerate(zip(modules[::2], modules[1::2], strict=True))


def torch_twin(subject: Subject) -> Iterator[Comparison]:
    """Against torch's own layer where it computes the same: values and gradients."""
    found = reference.find(subject.cell)
    if found is None:
        return
    entry, equivalence = found
    sample = subject.sample()
    layer = subject.layer(sample)
    twin = layer.to_torch()
    ours = run(sample, layer)
    x = tensor_like(layer)(sample.inputs).requires_grad_()
    order = reference.state_order(entry, equivalence, subject.cell)
    initial = [tensor_like(layer)(sample.state[k]).requires_grad_() for k in order]
    output, last = twin(x, as_state(tuple(initial)))
    lasts = [s[0] for s in as_tuple(last)]
    name = f"torch.nn.{type(twin).__name__}"
    pairs = [(ours.output, output), *((ours.last[k], s) for k, s in zip(order, lasts, strict=True))]
    yield compare(f"{name}, values", [(array(a), array(b)) for a, b in pairs], FLOAT64)
    weights = [tensor_like(layer)(sample.state_weight[k]) for k in order]
    loss = (tensor_like(layer)(sample.out_weight) * output).sum()
    loss = loss + sum((w * s).sum() for w, s in zip(weights, lasts, strict=True))
    theirs = torch.autograd.grad(loss, [x, *initial])
    mine = ours.gradients()
    pairs_of_gradients = [(mine.inputs, array(theirs[0]))]
    pairs_of_gradients += [(mine.state[k], array(g)) for k, g in zip(order, theirs[1:], strict=True)]
    yield compare(f"{name}, gradients", pairs_of_gradients, FLOAT64)


def _flat(result: tuple[Tensor, Any]) -> list[Tensor]:
    return [result[0], *as_tuple(result[1])]


def _each(state: Any, function: Any) -> Any:
    return function(state) if isinstance(state, Tensor) else tuple(function(s) for s in state)


def _zip_arrays(found: tuple[Tensor, ...], expected: tuple[Array, ...]) -> list[tuple[Array, Array]]:
    return [(array(a), b) for a, b in zip(found, expected, strict=True)]
