"""Results survive their file exactly."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from codegen.errors import DataError
from codegen.study.protocol import Design, Published, PublishedLoss
from codegen.study.results import Epoch, Outcome, Results, Trial, load_results, save_results
from tests.codegen.study.trials import make_epochs, make_protocol


def make_results() -> Results:
    design = Design(("a",), {"vanilla": (0,), "gru": (1,)})
    published = Published("somewhere", 5, (PublishedLoss({"cell": "gru"}, 1 / 3, 0.1),))
    protocol = make_protocol(design=design, published=published, note="σ")
    odd = Epoch(3, math.pi, math.e * 1e-300, 1 / 3 + 2**60, 5e-324, 0.1 + 0.2, {"bound": None, "rate": 1 / 7})
    trials = tuple(
        Trial(point, Outcome.FINISHED, (*make_epochs(point), odd), number, 2, "", "here", {"torch": "2"})
        for number, point in enumerate(protocol.points())
    )
    return Results(protocol, (Trial(trials[0].options, Outcome.FAILED, message="no"), *trials[1:]))


def test_round_trip_is_exact(tmp_path: Path) -> None:
    results = make_results()
    save_results(tmp_path / "results.json", results)
    assert load_results(tmp_path / "results.json") == results


def test_best_is_the_first_of_the_lowest() -> None:
    losses = [3.0, 1.0, 1.0, 2.0]
    epochs = tuple(Epoch(n, 0, loss, loss, 0, 0) for n, loss in enumerate(losses, 1))
    best = Trial({}, Outcome.FINISHED, epochs).best
    assert best is not None
    assert best.epoch == 2
    assert Trial({}, Outcome.UNFINISHED).best is None


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "is not JSON"),
        ("[]", "is marked None; expected 'cellwright study results 1'"),
        ('{"format": "other"}', "is marked 'other'"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(DataError, match=complaint):
        load_results(tmp_path / "x.json")
    with pytest.raises(DataError, match="cannot read"):
        load_results(tmp_path / "none.json")
