"""Settings in words, and names that are none."""

import dataclasses
import time

import pytest
import torch

from codegen.benchmarking.setting import Setting, device_named, dtype_named, synchronizer
from codegen.errors import ConfigError


def test_a_setting_says_what_a_pass_is() -> None:
    setting = Setting(time=4, batch=3, units=2, features=1)
    assert str(setting) == (
        "batch 3, time 4, n = 2, m = 1, float32; forward + backward, gradients of x and all parameters"
    )
    assert "gradients of all parameters" in str(dataclasses.replace(setting, input_gradient=False))
    assert str(dataclasses.replace(setting, forward_only=True)).endswith("; forward only")
    assert setting.to_dict()["dtype"] == "float32"
    assert setting.rows == 12
    assert str(dataclasses.replace(setting, cpu_time=True)).endswith("all parameters; processor time")


def test_processor_time_stands_still_while_the_process_sleeps() -> None:
    for cpu_time in (False, True):
        clock = Setting(cpu_time=cpu_time).clock
        begin = clock()
        time.sleep(0.05)
        assert (clock() - begin < 0.04) is cpu_time


def test_unknown_names_are_refused_with_the_nearest() -> None:
    assert dtype_named("bfloat16") is torch.bfloat16
    with pytest.raises(ConfigError, match="did you mean 'float32'"):
        dtype_named("flaot32")
    assert device_named("cpu") == "cpu"
    with pytest.raises(ConfigError, match="device 'cqu' cannot be used"):
        device_named("cqu")
    synchronizer("cpu")()
