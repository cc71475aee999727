"""The log: whole lines, cut back on request."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from codegen.errors import CheckpointError
from codegen.training.evaluation import Loss
from codegen.training.log import EpochReport, RunLog, StepReport

EPOCH = EpochReport(2, Loss(0.1 + 0.2, 3), Loss(1 / 3, 7), 70.0, 1234.5, 0.1, True)


def test_epoch_survives_json() -> None:
    record = json.loads(json.dumps(EPOCH.as_record()))
    assert EpochReport.from_record(record) == EPOCH
    assert record["valid_nats"] == pytest.approx(1 / 21)
    assert record["valid_perplexity"] == pytest.approx(math.exp(1 / 21))


def test_what_was_measured_survives_json() -> None:
    report = replace(EPOCH, measured={"bound": 2.5, "rate": None})
    record = json.loads(json.dumps(report.as_record(), allow_nan=False))
    assert record["bound"] == 2.5
    assert record["rate"] is None
    assert EpochReport.from_record(record) == report
    assert EpochReport.from_record(EPOCH.as_record()).measured == {}


def test_infinite_perplexity_is_null() -> None:
    report = EpochReport(1, Loss(5000.0, 1), Loss(5000.0, 1), 0.0, 1.0, 1.0, True)
    assert json.loads(json.dumps(report.as_record(), allow_nan=False))["valid_perplexity"] is None


def test_cut_back_to_the_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    with RunLog(path) as log:
        log.write({"step": 1})
        size = log.sync()
        log.write({"step": 2})
    with path.open("ab") as file:
        file.write(b'{"ste')  # torn by a kill
    with RunLog(path, size) as log:
        log.write({"step": 3})
    assert path.read_text() == '{"step": 1}\n{"step": 3}\n'
    with pytest.raises(
        CheckpointError, match=r"log\.jsonl has 24 bytes, fewer than the 25 at the last checkpoint"
    ):
        RunLog(path, 25)


def test_nothing_json_cannot_hold(tmp_path: Path) -> None:
    with RunLog(tmp_path / "log.jsonl") as log:
        with pytest.raises(ValueError, match="not JSON compliant"):
            log.write(StepReport(1, 1, 1, math.nan, 0.0, 0.0).as_record())
        assert log.size == 0
