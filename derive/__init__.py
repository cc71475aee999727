"""Derive, prove and compare recurrent cells symbolically.  Imports neither torch nor ``codegen``."""

from sympy import Rational

from derive.activations import ACTIVATIONS, Activation, hard_sigmoid, identity, relu, sigmoid, softsign, tanh
from derive.catalogue import catalogue, cell, published
from derive.cell import Cell
from derive.claim import Claim
from derive.derivation import Derivation, derivation
from derive.equivalence import Equivalence, equivalent
from derive.errors import (
    DeriveError,
    EvaluationError,
    MalformedCell,
    NoPath,
    RuleDoesNotApply,
    UnknownCell,
    UnknownRule,
)
from derive.evaluate import evaluate
from derive.prove import forget_biases, prove
from derive.rule import RULES, Rule, Step, apply
from derive.search import path, variants
from derive.show.diagram import diagram
from derive.symbols import (
    Activated,
    Input,
    Linear,
    MeanMap,
    Parameter,
    Previous,
    State,
    Vector,
    affine_parameters,
    mean,
    variance,
)

globals().update(ACTIVATIONS)  # an activation added to the table is importable by name without an edit here

__version__ = "0.1.0"
