"""Train word-level language models on the cells: the article's experiment, and its data.

Depends on the rest of `codegen` for its errors alone: a layer is given, not built here.
"""

from codegen.training.checkpoint import load_weights
from codegen.training.config import TrainingConfig
from codegen.training.corpus import embedded_corpus, write_embedded_corpus
from codegen.training.data import Corpus, data_directory, load_corpus
from codegen.training.evaluation import Loss, evaluate
from codegen.training.initialization import INITIALIZATIONS, Initialization, initialize
from codegen.training.log import EpochReport, StepReport
from codegen.training.loop import TrainingResult, train
from codegen.training.model import LanguageModel, Layer
from codegen.training.progress import RichProgress

__all__ = [
    "INITIALIZATIONS",
    "Corpus",
    "EpochReport",
    "Initialization",
    "LanguageModel",
    "Layer",
    "Loss",
    "RichProgress",
    "StepReport",
    "TrainingConfig",
    "TrainingResult",
    "data_directory",
    "embedded_corpus",
    "evaluate",
    "initialize",
    "load_corpus",
    "load_weights",
    "train",
    "write_embedded_corpus",
]
