"""Random cells in every backend that runs here, against the evaluator: values, last states, all gradients.

The suite tries a few; ``CELLWRIGHT_RANDOM_CELLS=200 pytest tests/codegen/test_random_cells.py`` more.
"""

import os

import numpy as np
from hypothesis import assume, given, settings

from codegen.backends import found
from codegen.backends.base import Use
from codegen.checking.comparisons import Subject
from codegen.checking.gradients import Gradients, array, by_complex_step, run
from codegen.checking.sample import Array, Sample, draw
from codegen.errors import CodegenError
from codegen.lowering import lower
from codegen.lowering.loop import lower_loop
from derive import Cell
from tests.loops import LoopRun
from tests.strategies import cells

COUNT = int(os.environ.get("CELLWRIGHT_RANDOM_CELLS", "10"))
BACKENDS = [name for name, backend in found().items() if backend.availability()]
EXACT = Use(dtype="float64")
RELATIVE = 1e-9

Values = tuple[Array, tuple[Array, ...], Gradients]


def of_backend(name: str, sample: Sample) -> Values:
    done = run(sample, Subject(sample.cell, name, "cpu", 0).layer(sample))
    return array(done.output), tuple(map(array, done.last)), done.gradients()


def of_loop(sample: Sample, *, sink: bool, inputs: bool = False) -> Values:
    done = LoopRun(lower_loop(lower(sample.cell), sink=sink, inputs=inputs), sample)
    return done.output, done.last, done.gradients()


def assert_same(who: str, values: Values, exact: Values) -> None:
    output, last, gradients = values
    pairs = [(output, exact[0]), *zip(last, exact[1], strict=True), *gradients.pairs(exact[2])]
    for mine, theirs in pairs:
        scale = np.abs(theirs).max(initial=1)
        np.testing.assert_allclose(mine, theirs, rtol=0, atol=RELATIVE * scale, err_msg=who)


def test_there_are_backends_to_compare() -> None:
    assert {"eager", "fused"} <= set(BACKENDS)


@settings(max_examples=COUNT)
@given(cells())
def test_backends_and_loop_forms_agree_with_the_evaluator(cell: Cell) -> None:
    try:
        sample = draw(cell, seed=0, steps=3)
    except CodegenError:
        assume(False)
    exact = (*sample.values(), by_complex_step(sample))
    for form in ({"sink": False}, {"sink": True}, {"sink": True, "inputs": True}):
        assert_same(f"loop form, {form}", of_loop(sample, **form), exact)
    for name in BACKENDS:
        if found()[name].refusal(cell, EXACT) is None:
            assert_same(name, of_backend(name, sample), exact)
