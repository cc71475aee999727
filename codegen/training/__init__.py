"""Train models around the cells: the article's experiment and its data, and tasks that test a memory.

Depends on the rest of `codegen` for its errors alone: a layer is given, not built here.
"""

from codegen.training.checkpoint import load_weights
from codegen.training.config import TrainingConfig
from codegen.training.corpus import embedded_corpus, write_embedded_corpus
from codegen.training.data import Corpus, data_directory, load_corpus, reduced_corpus
from codegen.training.evaluation import Loss, evaluate
from codegen.training.initialization import INITIALIZATIONS, Initialization, initialize
from codegen.training.log import EpochReport, StepReport
from codegen.training.loop import TrainingResult, train
from codegen.training.model import LanguageModel, Layer, Model
from codegen.training.progress import RichProgress
from codegen.training.tasks.language import LanguageTask

__all__ = [
    "INITIALIZATIONS",
    "Corpus",
    "EpochReport",
    "Initialization",
    "LanguageModel",
    "LanguageTask",
    "Layer",
    "Loss",
    "Model",
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
    "reduced_corpus",
    "train",
    "write_embedded_corpus",
]
