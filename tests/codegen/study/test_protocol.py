"""Which trials may be trained side by side."""

from __future__ import annotations

import pytest

from codegen.study.protocol import Value, may_go_beside

HERE: dict[str, Value] = {"cell": "gru", "learning_rate": 1e-3, "seed": 0, "hidden_size": 8}


@pytest.mark.parametrize(
    ("change", "together"),
    [
        ({"seed": 1}, True),
        ({"learning_rate": 3e-3, "seed": 2}, True),
        ({"cell": "lstm"}, False),
        ({"hidden_size": 9}, False),
        ({"hidden_size": 9, "seed": 1}, False),
    ],
)
def test_they_differ_in_seed_and_rate_alone(change: dict[str, Value], together: bool) -> None:
    assert may_go_beside({**HERE, **change}, HERE) is together
