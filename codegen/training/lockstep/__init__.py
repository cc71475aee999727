"""Trainings of one cell side by side as one batched model, for a GPU that one alone would leave idle."""

from codegen.training.lockstep.choice import LOCKSTEP_SIZE, lockstep_choice
from codegen.training.lockstep.loop import Training, train_in_lockstep

__all__ = ["LOCKSTEP_SIZE", "Training", "lockstep_choice", "train_in_lockstep"]
