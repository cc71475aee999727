"""A pass gives the gradients of what it is said to."""

import dataclasses

import torch

from codegen.benchmarking.contender import Contender, differentiated, drawn_like, input_of
from codegen.benchmarking.setting import Setting

SETTING = Setting(time=2, batch=3, units=4, features=5)


def contender(setting: Setting) -> Contender:
    weight = torch.randn(4, 5, requires_grad=True)
    unread = torch.randn(2, requires_grad=True)
    parameters = {"W": weight, "b": unread}
    return Contender("linear", lambda x: (x @ weight.t(),), input_of(setting, 5), parameters, setting)


def test_results_are_outputs_and_gradients_by_name() -> None:
    linear = contender(SETTING)
    found = linear.results()
    assert list(found) == ["output 0", "∂x", "∂W", "∂b"]
    [start] = drawn_like([found["output 0"]], SETTING.seed)
    assert torch.allclose(found["∂x"], start @ linear.parameters["W"])
    assert torch.allclose(found["∂W"], start.flatten(0, 1).t() @ linear.x.flatten(0, 1), atol=1e-6)
    assert torch.equal(found["∂b"], torch.zeros(2))
    timed = linear()
    assert torch.equal(timed[0], found["∂x"])
    assert torch.equal(timed[1], found["∂W"])


def test_without_the_gradient_of_x_and_without_any() -> None:
    linear = contender(dataclasses.replace(SETTING, input_gradient=False))
    assert not linear.x.requires_grad
    assert list(linear.results()) == ["output 0", "∂W", "∂b"]
    alone = contender(dataclasses.replace(SETTING, forward_only=True))
    assert list(alone.results()) == ["output 0"]
    assert not alone()[0].requires_grad


def test_of_a_cell_without_output_the_last_states_count() -> None:
    states = torch.ones(3, 4), torch.ones(3, 2)
    assert differentiated((torch.empty(2, 3, 0), *states)) == list(states)
    assert len(differentiated((torch.ones(2, 3, 4), *states))) == 1
