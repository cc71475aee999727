"""All that a training needs to go on as if it had never stopped, in one safetensors file.

The tensors are the weights, Adam's moments, the carried state and the random generators; the metadata holds,
as JSON, the position, the losses so far, and the identity of the run: configuration, data, shapes. Floats
survive JSON exactly (Python writes the shortest decimal that reads back as the same number).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from codegen.errors import CheckpointError
from codegen.files import write_atomic
from codegen.training.log import EpochReport
from codegen.training.model import State, copy_weights, tensors_of
from codegen.training.rng import rng_state, set_rng_state

FORMAT = "cellwright checkpoint 1"


@dataclass
class Progress:
    """How far a run has come.

    Attributes:
        epoch: the one under way, counted from 1.
        step: steps done in it.
        train_sum: the sum of their losses, nats.
        last_loss: of the last step; None before the first.
        max_state: the largest absolute value of the carried state in this epoch.
        train_seconds: spent on this epoch's steps.
        seconds: spent on the run.
        log_bytes: the length of the log at this point.
        finished: no epoch is left to run.
        history: the finished epochs.
    """

    epoch: int = 1
    step: int = 0
    train_sum: float = 0.0
    last_loss: float | None = None
    max_state: float = 0.0
    train_seconds: float = 0.0
    seconds: float = 0.0
    log_bytes: int = 0
    finished: bool = False
    history: list[EpochReport] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The fields as plain values that JSON can hold."""
        return asdict(self) | {"history": [report.as_record() for report in self.history]}

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Progress:
        """The progress that `as_dict` wrote down."""
        return cls(**fields | {"history": [EpochReport.from_record(record) for record in fields["history"]]})


@dataclass(frozen=True)
class Checkpoint:
    """The contents of a checkpoint file; `restore` puts them to use."""

    path: Path
    tensors: dict[str, Tensor]
    identity: dict[str, Any]
    progress: Progress
    single_state: bool

    def require(
        self, identity: Mapping[str, Any], defaults: Mapping[str, Any] = MappingProxyType({})
    ) -> None:
        """Refuse to go on with a run that is not this one.

        Args:
            defaults: values of what the checkpoint may be too old to know.

        Raises:
            CheckpointError: naming each field that differs, with both values.
        """
        before, now = _flat(defaults) | _flat(self.identity), _flat(identity)
        differences = [
            f"{key} was {before.get(key)!r} and is now {now.get(key)!r}"
            for key in dict.fromkeys([*before, *now])
            if before.get(key) != now.get(key)
        ]
        if differences:
            raise CheckpointError(
                f"{self.path} belongs to another run: {'; '.join(differences)}. Give what it was started "
                "with, choose another run directory, or start over, which discards it"
            )

    def restore(self, model: nn.Module, optimizer: torch.optim.Optimizer) -> State | None:
        """Put weights, moments and generators in place; returns the carried state."""
        device = next(model.parameters()).device
        copy_weights(model, self._group("model"), self.path)
        moments: dict[int, dict[str, Tensor]] = {}
        for name, tensor in self._group("optimizer").items():
            position, key = name.split(".")
            # Cloned, as the optimizer adopts what it is given: see copy_weights on alignment.
            moments.setdefault(int(position), {})[key] = tensor.clone()
        optimizer.load_state_dict({"state": moments, "param_groups": optimizer.state_dict()["param_groups"]})
        set_rng_state(self._group("rng"), device)
        state = tuple(tensor.to(device, copy=True) for _, tensor in sorted(self._group("state").items()))
        return None if not state else state[0] if self.single_state else state

    def _group(self, prefix: str) -> dict[str, Tensor]:
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    state: State | None,
    progress: Progress,
    identity: Mapping[str, Any],
) -> None:
    """Write everything to `path`, atomically.

    Raises:
        OSError: the file cannot be written; the checkpoint that was there still is.
    """
    device = next(model.parameters()).device
    groups = {
        "model": model.state_dict(),
        "optimizer": {
            f"{position}.{key}": tensor
            for position, moments in optimizer.state_dict()["state"].items()
            for key, tensor in moments.items()
        },
        "state": {} if state is None else {f"{i:02}": tensor for i, tensor in enumerate(tensors_of(state))},
        "rng": rng_state(device),
    }
    tensors = {f"{group}.{name}": tensor for group, named in groups.items() for name, tensor in named.items()}
    metadata = {
        "format": FORMAT,
        "identity": json.dumps(identity),
        "progress": json.dumps(progress.as_dict()),
        "single_state": json.dumps(isinstance(state, Tensor)),
    }
    write_atomic(path, save(_own_storage(tensors), metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        CheckpointError: it is damaged, or not a checkpoint.
    """
    metadata = _metadata(path)
    if metadata.get("format") != FORMAT:
        raise CheckpointError(f"{path} is marked {metadata.get('format')!r}; expected {FORMAT!r}")
    return Checkpoint(
        path,
        load_file(path),
        json.loads(metadata["identity"]),
        Progress.from_dict(json.loads(metadata["progress"])),
        json.loads(metadata["single_state"]),
    )


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the weights alone to `path`, atomically."""
    write_atomic(path, save(_own_storage(model.state_dict())))


def load_weights(path: Path, model: nn.Module) -> None:
    """Put the weights that `save_weights` wrote into `model`, in place.

    Raises:
        CheckpointError: the file is missing, damaged, or of another model.
    """
    _metadata(path)
    copy_weights(model, load_file(path), path)


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}
    except FileNotFoundError as error:
        raise CheckpointError(f"no file {path}: has the run finished an epoch?") from error
    except SafetensorError as error:
        raise CheckpointError(f"{path} is damaged or not a safetensors file: {error}") from error


def _flat(nested: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"config": {"seed": 0}}` as `{"config.seed": 0}`."""
    flat: dict[str, Any] = {}
    for key, value in nested.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return flat


def _own_storage(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """On the CPU and apart: safetensors refuses views of shared storage, as layers of packed weights have."""
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
