"""A study's file: what it declares, and a complaint for everything that is not as it should be."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from codegen.errors import ConfigError
from codegen.study.protocol import Data, Protocol, differences, trial_key
from codegen.study.protocol_file import read_protocol
from derive.errors import UnknownCell
from tests.codegen.study.trials import make_protocol

ARTICLE = Path(__file__).parents[3] / "studies" / "written-memories.toml"
WHOLE = """
name = "tiny"
title = "A tiny study"
note = "Reduced."
retries = 1
diagnostics = true
[data]
source = "embedded"
train_tokens = 5000
[grid]
cell = ["lstm", "gru"]
learning_rate = [1, 1e-3]
seed = [0, 7]
[training]
epochs = 3
forget_bias = 1
clip = 5
[design]
factors = ["gated"]
levels = { lstm = [1], gru = [0] }
[published]
trials = 5
source = "a paper"
losses = [{ cell = "lstm", learning_rate = 1, mean = 390, interval = 0.5 }]
"""


def read(directory: Path, text: str) -> Protocol:
    path = directory / "study.toml"
    path.write_text(text)
    return read_protocol(path)


def test_all_of_a_file(tmp_path: Path) -> None:
    protocol = read(tmp_path, WHOLE)
    assert (protocol.name, protocol.title, protocol.note) == ("tiny", "A tiny study", "Reduced.")
    assert (protocol.retries, protocol.diagnostics) == (1, True)
    assert protocol.data == Data(source="embedded", train_tokens=5000)
    assert protocol.grid == {"cell": ("lstm", "gru"), "learning_rate": (1.0, 1e-3), "seed": (0, 7)}
    assert protocol.training == {"epochs": 3, "forget_bias": 1.0, "clip": 5.0}
    assert isinstance(protocol.grid["learning_rate"][0], float)  # or 1 and 1.0 would be two trials
    assert protocol.design is not None
    assert protocol.design.levels == {"lstm": (1,), "gru": (0,)}
    assert protocol.published is not None
    (loss,) = protocol.published.losses
    assert (loss.options, loss.mean, loss.interval) == ({"cell": "lstm", "learning_rate": 1.0}, 390.0, 0.5)


def test_points_come_seed_by_seed_and_keys_are_apart(tmp_path: Path) -> None:
    points = list(read(tmp_path, WHOLE).points())
    assert [point["seed"] for point in points] == [0] * 4 + [7] * 4
    assert points[1] == {"cell": "lstm", "learning_rate": 1e-3, "seed": 0}
    assert list(points[0]) == ["cell", "learning_rate", "seed"]
    keys = [trial_key(point) for point in points]
    assert len(set(keys)) == 8
    assert keys[1] == '{"cell":"lstm","learning_rate":0.001,"seed":0}'


def test_as_dict_is_the_file_again(tmp_path: Path) -> None:
    protocol = read(tmp_path, WHOLE)
    document = json.loads(json.dumps(protocol.as_dict()))
    assert Protocol.from_dict(document) == protocol
    assert document == tomllib.loads(WHOLE)
    smallest = make_protocol()
    assert Protocol.from_dict(smallest.as_dict()) == smallest


def test_the_article() -> None:
    protocol = read_protocol(ARTICLE)
    assert len(list(protocol.points())) == 8 * 4 * 5
    assert protocol.design is not None
    assert protocol.published is not None
    assert len(protocol.published.losses) == 8 * 4
    found = {
        (loss.options["cell"], loss.options["learning_rate"]): loss for loss in protocol.published.losses
    }
    assert (found["pseudo-lstm-d2", 1e-3].mean, found["pseudo-lstm-d2", 1e-3].interval) == (386.0, 0.8)
    assert (found["lstm", 1e-4].mean, found["pseudo-lstm-d3", 3e-3].interval) == (418.1, 1.4)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "tiny"', "", r"study\.toml: name is missing"),
        ('name = "tiny"', 'name = "a/b"', r"name is 'a/b'; expected letters, digits, .* it names a folder"),
        ("retries = 1", "retrys = 1", r"retrys is no key; did you mean 'retries'\?"),
        ("retries = 1", "retries = -1", "retries is -1; expected a whole number from 0 up"),
        ("diagnostics = true", "diagnostics = 1", "diagnostics is 1; expected true or false"),
        ('"lstm", "gru"]', "7]", r"grid\.cell\[0\] is 7; expected a cell's name"),
        ('"lstm", "gru"]', '"mine.py"]', r"grid\.cell\[0\] is 'mine\.py'; there is no such file in"),
        ("seed = [0, 7]", "", r'grid\.seed is missing; expected a list, such as \[0, 1, 2\]'),
        ("seed = [0, 7]", "seed = 5", r"grid\.seed is 5; expected a list of at least one value"),
        ("seed = [0, 7]", "seed = [3, 3]", r"grid\.seed has 3 twice"),
        ("seed = [0, 7]", "seed = [0.5]", r"grid\.seed\[0\] is 0\.5; expected a whole number"),
        ("seed = [0, 7]", "seed = [true]", r"grid\.seed\[0\] is True; expected a whole number"),
        ("[1, 1e-3]", "[1, -1.0]", r"grid\.learning_rate\[1\]: learning_rate is -1\.0; expected a positive"),
        ("learning_rate = [", "learnin_rate = [", "rate is no training option; did you mean 'learning_"),
        ("epochs = 3", "epochs = 0", r"training\.epochs: epochs is 0; expected a whole number from 1 up"),
        ("epochs = 3", 'epochs = "3"', r"training\.epochs is '3'; expected a whole number"),
        ("epochs = 3", "seed = 3", r"training\.seed has no place here: list its values in grid\.seed"),
        ("epochs = 3", "learning_rate = 3.0", r"training\.learning_rate is in the grid too"),
        ("train_tokens = 5000", "tokens = 5", r"data\.tokens is no key; did you mean '.*_tokens'"),
        ("train_tokens = 5000", "train_tokens = 0", "data.train_tokens is 0; expected a whole number from 1"),
        ("lstm = [1]", "lstm = [2]", r"design\.levels\.lstm is \[2\]; expected 1 numbers, each 0 or 1"),
        ("lstm = [1]", "lstm = [0]", r"design\.levels has 2 cells; expected each of the 2 combinations"),
        ("lstm = [1]", "ltsm = [1]", r"design\.levels\.ltsm is no cell of the grid; did you mean 'lstm'"),
        ("mean = 390", 'mean = "x"', r"published\.losses\[0\]\.mean is 'x'; expected a number"),
        ("mean = 390", "means = 3, mean = 390", r"means is no option of the grid; did you mean 'mean'"),
        ("trials = 5", "", r"published\.trials is None; expected a whole number from 2 up"),
        ('source = "a paper"', "", r"published\.source is None; expected where the numbers are from"),
        ("[grid]", "[grid", r"study\.toml is not TOML: "),
        ("clip = 5", "clip = inf", r"training\.clip: clip is inf; expected a positive number, or 0 for no"),
        ("forget_bias = 1", "memory = 1", r"training\.memory: memory is 1\.0; expected a finite number of"),
        ("forget_bias = 1", "forget_bias = nan", r"training\.forget_bias: forget_bias is nan; expected a"),
        ("clip = 5", "[training.biases]\nb_f = 1", r"training\.biases names vectors, .* expected forget"),
        ("clip = 5", 'gradient = "real-time"', r"training\.gradient: task is 'language'"),
        ("clip = 5", "groups = 2", r"training\.groups: groups is 2, which the gradient 'blocks' does not"),
        ("seed = [0, 7]", "seed = [0]\nlength = [9]", r"grid\.length\[0\]: length is 9, which the task 'lan"),
        ("clip = 5", 'task = "adding"', r"data\.source: data is 'embedded', which the task 'adding'"),
        ("epochs = 3", "epochs = 0\npatience = 0", r"study\.toml: epochs is 0; expected"),
    ],
)  # fmt: skip
def test_complaints(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    assert old in WHOLE
    with pytest.raises(ConfigError, match=complaint):
        read(tmp_path, WHOLE.replace(old, new))


MEMORY = """
name = "memory"
[grid]
cell = ["gru", "lstm"]
seed = [0, 1]
{grid}
[training]
task = "adding"
{training}
"""


def test_options_are_judged_together(tmp_path: Path) -> None:
    """As each training has them: what does not suit the default task may suit another."""
    training = 'gradient = "real-time"\ngroups = 4\nhidden_size = 8'
    found = read(tmp_path, MEMORY.format(grid="", training=training))
    assert (found.training["groups"], len(list(found.points()))) == (4, 4)
    with pytest.raises(ConfigError, match=r"study\.toml: groups is 9; expected from 1 .* units, 8"):
        read(tmp_path, MEMORY.format(grid="", training=training.replace("4", "9")))
    with pytest.raises(ConfigError, match=r"study\.toml: length is 1; the task 'adding' takes 2 at least"):
        read(tmp_path, MEMORY.format(grid="length = [5, 1]", training=""))
    with pytest.raises(ConfigError, match=r"training\.update_every: update_every is 5, which the task 'addi"):
        read(tmp_path, MEMORY.format(grid="", training="update_every = 5"))


def test_an_option_may_be_for_some_trials_only(tmp_path: Path) -> None:
    """Each of these is looked at by one gradient of the two, or one task of the two."""
    gradients = MEMORY.format(grid='gradient = ["blocks", "real-time"]', training="bptt = 20\ngroups = 2")
    assert read(tmp_path, gradients).training["groups"] == 2
    both = MEMORY.replace('task = "adding"', "").format(
        grid='task = ["adding", "language"]', training="length = 9\nupdate_every = 3"
    )
    assert read(tmp_path, both).training["update_every"] == 3
    with pytest.raises(ConfigError, match=r"training\.bptt: bptt is 20, which the gradient 'real-time'"):
        read(tmp_path, gradients.replace('"blocks", ', "").replace("groups = 2", ""))


def test_an_unknown_cell_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UnknownCell, match="did you mean 'lstm'"):
        read(tmp_path, WHOLE.replace('"lstm", "gru"]', '"lsmt", "gru"]'))
    with pytest.raises(ConfigError, match=r"cannot read .*nothing\.toml: No such file"):
        read_protocol(tmp_path / "nothing.toml")


def test_more_values_are_the_same_study_and_others_are_not() -> None:
    before = make_protocol()
    more = make_protocol(grid={**before.grid, "seed": (0, 1, 2)}, title="Another", retries=9)
    assert differences(before, more) == []
    assert differences(more, before) == ["grid.seed had 2 as well"]
    other = make_protocol(
        grid={**before.grid, "memory": (2.0,)},
        training={"batch_size": 5},
        data=Data(source="elsewhere", vocabulary=9),
        diagnostics=True,
    )
    found = differences(before, other)
    assert "training.batch_size was 4 and is now 5" in found
    assert "training.epochs was 2 and is now not given" in found
    assert "data.vocabulary was not given and is now 9" in found
    assert "diagnostics was False and is now True" in found
    assert "grid.memory was not there" in found
    assert not any("source" in line for line in found)
