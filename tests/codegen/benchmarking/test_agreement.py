"""What agrees, what does not, and where."""

import math

import pytest
import torch

from codegen.benchmarking.agreement import disagreement, relative_error

RIGHT = {"output 0": torch.tensor([1.0, -4.0]), "∂x": torch.tensor([[1e-3, 2e-3]])}


def test_rounding_is_no_disagreement() -> None:
    near = {name: value * (1 + 1e-6) for name, value in RIGHT.items()}
    assert disagreement(near, RIGHT, torch.float32) is None
    assert disagreement(near, RIGHT, torch.float64) is not None


def test_the_worst_is_named_in_proportion_to_its_size() -> None:
    wrong = {"output 0": RIGHT["output 0"] + 4e-3, "∂x": RIGHT["∂x"] + 4e-5}
    found = disagreement(wrong, RIGHT, torch.float32)
    assert found is not None
    assert found.startswith("∂x differs from eager's by 2.0e-02")


def test_names_that_only_one_has_are_left_out() -> None:
    assert disagreement({**RIGHT, "∂weight_ih_l0": torch.ones(1)}, RIGHT, torch.float32) is None
    assert disagreement({"∂weight": torch.ones(1)}, RIGHT, torch.float32) == "it has no result that eager has"


@pytest.mark.parametrize("wrong", [torch.tensor([1.0]), torch.tensor([[1.0, math.nan]])])
def test_other_shapes_and_missing_numbers_are_infinitely_wrong(wrong: torch.Tensor) -> None:
    assert relative_error(wrong, torch.tensor([[1.0, 2.0]])) == math.inf


def test_of_zeros_the_difference_counts() -> None:
    assert relative_error(torch.tensor([0.5]), torch.tensor([0.0])) == 0.5
    assert relative_error(torch.empty(0), torch.empty(0)) == 0
