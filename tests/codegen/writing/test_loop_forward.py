"""The plain steps, run: the interpreter's values for every cell."""

import pytest

from tests.codegen.writing.steps import CELLS, assert_same, steps

each = pytest.mark.parametrize("name", CELLS)
both = pytest.mark.parametrize("sink", [False, True], ids=["outside", "sunk"])


@each
@both
def test_values(name: str, sink: bool) -> None:
    some = steps(name, sink=sink)
    found = some.forward(True, *some.number_of_steps, *some.inputs)
    assert_same(found, [*some.results, *some.kept], "result")
    for value, expected in zip(found, some.results, strict=False):
        assert value.shape == expected.shape, "what is given has full width"
    without = some.forward(False, *some.number_of_steps, *some.inputs)
    assert_same(without, some.results, "result without keeping")


def test_more_steps_go_on_from_the_last_state() -> None:
    some = steps("lstm")
    block, *rest = some.inputs
    h, c, weight = rest
    one = some.forward(False, block[:1], h, c, weight)
    two = some.forward(False, block[1:], one[1], one[2], weight)
    assert_same(two[1:], some.results[1:], "last state")
    assert_same([one[0][0], two[0][-1]], [some.results[0][0], some.results[0][-1]], "output")


def test_a_last_state_is_no_view_of_the_outputs() -> None:
    """Whoever writes into the one must not change the other."""
    some = steps("gru")
    outputs, last, *_ = some.forward(True, *some.inputs)
    last.zero_()
    assert_same([outputs], some.results[:1], "outputs")
