"""Errors and reports: nothing that is missing or not a number ever passes."""

import json
import math

import numpy as np
import pytest

from codegen.checking.report import CheckReport, Comparison, compare, error


@pytest.mark.parametrize(
    ("found", "expected", "result"),
    [
        ([1.0, 2.0], [1.0, 2.0], 0.0),
        ([0.1], [0.0], 0.1),  # below 1 the error is absolute
        ([110.0], [100.0], 0.1),  # above it is relative
        ([], [], 0.0),
        ([1.0], [[1.0]], math.inf),
        ([math.nan], [1.0], math.inf),
        ([1.0], [math.nan], math.inf),
        ([math.inf], [math.inf], math.inf),
    ],
)
def test_error(found, expected, result: float) -> None:
    with np.errstate(invalid="ignore"):
        assert error(found, expected) == pytest.approx(result)


def test_one_bad_pair_spoils_the_comparison() -> None:
    pairs = [(np.ones(2), np.ones(2)), (np.full(2, np.nan), np.ones(2)), (np.ones(2), np.ones(2))]
    assert not compare("x", pairs, 1.0).passed


def test_no_pairs_are_no_pass() -> None:
    assert not compare("x", [], 1.0).passed


def test_an_empty_report_is_falsy() -> None:
    assert not CheckReport("lstm", "eager", ())


def test_infinite_errors_are_null_in_json() -> None:
    report = CheckReport("lstm", "eager", (Comparison("x", math.inf, 1e-10), Comparison("y", 0.0, 1e-10)))
    assert not report
    text = json.dumps(report.to_dict(), allow_nan=False)
    assert json.loads(text)["comparisons"][0] == {
        "name": "x",
        "error": None,
        "tolerance": 1e-10,
        "passed": False,
    }
    assert "FAIL  x" in str(report)
    assert [c.name for c in report.failures] == ["x"]
