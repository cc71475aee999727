"""The time of a member, and whether to have members at all."""

import time
from pathlib import Path

import pytest

from codegen.training.lockstep import LOCKSTEP_SIZE, lockstep_choice
from codegen.training.lockstep.member import Member
from codegen.training.tasks.language import LanguageTask
from tests.codegen.training.lockstep.trials import build, configs, corpus


def test_time_is_shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    (config,) = configs((1e-3,))
    member = Member(
        build(config),
        LanguageTask(corpus(), config),
        config,
        tmp_path,
        interrupted=lambda: False,
        on_step=lambda report: None,
        on_epoch=lambda report: None,
    )
    now = 110.0  # of no concern: not yet beside others
    member.join(4)
    now = 118.0
    member.lap()
    assert member.progress.seconds == 2.0
    member.join(2)
    now = 119.0
    member.lap()
    assert member.progress.seconds == 2.5


@pytest.mark.parametrize(
    ("device", "trials", "lockstep", "why"),
    [
        ("cuda", 20, True, f"up to {LOCKSTEP_SIZE} at a time"),
        ("cuda:1", 2, True, "idle"),
        ("cuda", 1, False, "no second trial"),
        ("cpu", 20, False, "native kernel"),
        ("mps", 20, False, "written for CUDA, not for mps"),
    ],
)
def test_choice(device: str, trials: int, lockstep: bool, why: str) -> None:
    chosen, reason = lockstep_choice(device, trials)
    assert chosen is lockstep
    assert why in reason
