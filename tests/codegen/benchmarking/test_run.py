"""A whole benchmark on a tiny shape: who is timed, who is refused, who is left out."""

from __future__ import annotations

import dataclasses
import json

import pytest
import torch

import derive
from codegen.benchmarking import package_peer, peers, run
from codegen.benchmarking.contender import Contender
from codegen.benchmarking.ours import naive as real_naive
from codegen.benchmarking.run import FLOOR, Field, Report, bench
from codegen.benchmarking.setting import Setting
from derive import Cell, State, tanh

SETTING = Setting(time=3, batch=2, units=4, features=3)
ALONE = Field(("eager",), package=False)


@pytest.fixture(scope="module")
def lstm() -> Report:
    return bench(derive.cell("lstm"), SETTING, 5, ALONE)


def test_everybody_has_a_time_in_every_round_and_a_peak(lstm: Report) -> None:
    assert {row.name for row in lstm.rows} == {"eager", "naive loop", "nn.LSTM", "nn.GRU", FLOOR}
    assert all(len(row.seconds) == 5 and min(row.seconds) > 0 for row in lstm.rows)
    assert all(row.memory for row in lstm.rows if row.name != FLOOR)
    assert (lstm.refused, lstm.skipped) == ({}, {})
    assert lstm.multiply_adds == 3 * 6 * 16 * (3 + 4)
    assert lstm.baselines == ("nn.LSTM", "nn.GRU", "naive loop", FLOOR)


def test_ratios_are_of_the_rounds(lstm: Report) -> None:
    own, other = lstm.row("eager"), lstm.row(FLOOR)
    assert own is not None
    assert other is not None
    quotients = sorted(a / b for a, b in zip(own.seconds, other.seconds, strict=True))
    found = lstm.ratio("eager", FLOOR)
    assert found is not None
    assert found.median == quotients[2]
    assert lstm.ratio("eager", "nobody") is None
    assert lstm.gigaflops == pytest.approx(2e-9 * lstm.multiply_adds / min(other.seconds))
    assert own.milliseconds == 1e3 * min(own.seconds)


def test_a_report_is_a_json_document(lstm: Report) -> None:
    document = json.loads(json.dumps(lstm.to_dict()))
    assert document["floor"]["multiply_adds"] == lstm.multiply_adds
    eager = next(c for c in document["contenders"] if c["name"] == "eager")
    assert set(eager["ratios"]) == set(lstm.baselines)
    assert eager["ratios"][FLOOR].keys() == {"median", "quartile_1", "quartile_3"}


@pytest.mark.parametrize("forward_only", [True, False])
def test_a_wrong_result_gets_no_time(monkeypatch: pytest.MonkeyPatch, forward_only: bool) -> None:
    """Wrong in the values, or only in a gradient."""

    def wrong(*given: object) -> Contender:
        right = real_naive(*given)  # type: ignore[arg-type]
        run_right = right.run

        def run_wrong(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            output, *states = run_right(x)
            return (output * 1.01 if forward_only else 1.01 * output - 0.01 * output.detach(), *states)

        return dataclasses.replace(right, run=run_wrong)

    monkeypatch.setattr(run, "naive", wrong)
    setting = dataclasses.replace(SETTING, forward_only=forward_only)
    report = bench(derive.cell("gru"), setting, 1, ALONE)
    assert report.row("naive loop") is None
    assert "differs from eager's by" in report.refused["naive loop"]
    assert ("∂" in report.refused["naive loop"]) is not forward_only
    assert report.row("eager") is not None


def test_a_peer_that_raises_is_left_out_but_our_own_fault_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(cell: Cell, setting: Setting, eager: object, ours: bool = False) -> list[Contender]:
        def fail(x: torch.Tensor) -> tuple[torch.Tensor, ...]:
            raise RuntimeError("not implemented for 'BFloat16'\nmore")

        return [Contender("peer", fail, torch.zeros(1), {}, setting, same_cell=False, ours=ours)]

    monkeypatch.setattr(peers, "torch_layers", broken)
    assert bench(derive.cell("vanilla"), SETTING, 1, ALONE).skipped == {
        "peer": "not implemented for 'BFloat16'"
    }
    monkeypatch.setattr(peers, "torch_layers", lambda *given: broken(*given, ours=True))
    with pytest.raises(RuntimeError, match="BFloat16"):
        bench(derive.cell("vanilla"), SETTING, 1, ALONE)


def test_a_cell_without_products_has_no_floor() -> None:
    s = State("s")
    cell = Cell("fading", {s: tanh(derive.Parameter("p", "n") * s.prev)}, output=s)
    report = bench(cell, SETTING, 1, ALONE)
    assert report.row(FLOOR) is None
    assert report.skipped[FLOOR] == "the cell has no matrix product"
    assert report.gigaflops == 0


def test_who_takes_part_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def peer(name: str):  # type: ignore[no-untyped-def]
        return lambda *_: asked.append(name) or ([], {name: "asked"})

    monkeypatch.setattr(peers, "scripted", peer("script"))
    monkeypatch.setattr(peers, "compiled", peer("compile"))
    monkeypatch.setattr(package_peer, "of_the_package", peer("package"))
    said: list[str] = []
    who = Field(("eager",), script=True, compile=True)
    report = bench(derive.cell("vanilla"), SETTING, 1, who, memory=False, progress=said.append)
    assert asked == list(report.skipped) == ["script", "compile", "package"]
    assert {row.memory for row in report.rows} == {None}
    assert "vanilla: checking eager" in said
    assert "nn.RNN" in report.baselines
