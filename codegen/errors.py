"""The one family of errors that `codegen` raises for what its users can put right.

A message says what was given, what was expected, and the nearest right thing to do.
"""

from __future__ import annotations


class CodegenError(Exception):
    """Base of every error of this package; the command line prints its message without a traceback."""


class DataError(CodegenError):
    """A corpus is missing, malformed, or too small for what is asked of it."""


class ConfigError(CodegenError):
    """A hyperparameter, or the name of a choice, is outside what is allowed."""


class TrainingError(CodegenError):
    """A training cannot start or go on: the model does not fit the configuration, or it diverged."""


class Diverged(TrainingError):
    """A loss, a state or a weight is no longer finite: a result, and not a nice one.

    Attributes:
        history: reports of the epochs before.
    """

    def __init__(self, message: str, history: tuple[object, ...] = ()) -> None:
        super().__init__(message)
        self.history = history


class CheckpointError(CodegenError):
    """A checkpoint cannot be read, or belongs to another model, corpus or configuration."""


class Stopped(CodegenError):
    """Work that was well begun cannot go on now; nothing of it is lost, and it can be taken up again."""


class UnknownBackend(CodegenError, ValueError):
    """A name that is no backend; the message lists those there are."""


class Unsupported(CodegenError, NotImplementedError):
    """A well-formed cell or request that there is no code for; the message says what is in the way."""


class UnknownName(CodegenError, ValueError):
    """A parameter, vector or option that the cell does not have; the message names the nearest."""


class CompilationError(CodegenError):
    """No C compiler, or one that failed; the message shows its command and the first lines it wrote."""
