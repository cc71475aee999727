"""Derive, prove and compare recurrent cells symbolically.  Imports neither torch nor ``codegen``."""

from sympy import Rational

from derive.activations import ACTIVATIONS, Activation, hard_sigmoid, identity, relu, sigmoid, softsign, tanh
from derive.bounds import Bound, bound, growth, invariant_boxes
from derive.bounds.stability import stability
from derive.calculus import Jacobian, jacobian, k_step_jacobian, step_jacobian
from derive.catalogue import catalogue, cell, published
from derive.cell import Cell
from derive.claim import Claim
from derive.claims import recheck_certificate
from derive.claims.bounded import stays_in
from derive.claims.carry import carries_at
from derive.claims.linear import is_linear_recurrence
from derive.derivation import Derivation, derivation
from derive.dynamics import (
    Equilibrium,
    Linearization,
    NoEquilibrium,
    NotAnEquilibrium,
    equilibrium,
    linearize,
)
from derive.equivalence import Equivalence, equivalent
from derive.errors import (
    AlreadyHolds,
    BrokenPromise,
    DeriveError,
    EvaluationError,
    MalformedCell,
    NoPath,
    RuleDoesNotApply,
    UnknownCell,
    UnknownRule,
)
from derive.evaluate import evaluate
from derive.initialization import forget_biases, initial_scales, jacobian_shares, memory_biases
from derive.learning import Sensitivities
from derive.prove import prove
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

__version__ = "0.1.0"

__all__ = [
    "ACTIVATIONS",
    "RULES",
    "Activated",
    "Activation",
    "AlreadyHolds",
    "Bound",
    "BrokenPromise",
    "Cell",
    "Claim",
    "Derivation",
    "DeriveError",
    "Equilibrium",
    "Equivalence",
    "EvaluationError",
    "Input",
    "Jacobian",
    "Linear",
    "Linearization",
    "MalformedCell",
    "MeanMap",
    "NoEquilibrium",
    "NoPath",
    "NotAnEquilibrium",
    "Parameter",
    "Previous",
    "Rational",
    "Rule",
    "RuleDoesNotApply",
    "Sensitivities",
    "State",
    "Step",
    "UnknownCell",
    "UnknownRule",
    "Vector",
    "affine_parameters",
    "apply",
    "bound",
    "carries_at",
    "catalogue",
    "cell",
    "derivation",
    "diagram",
    "equilibrium",
    "equivalent",
    "evaluate",
    "forget_biases",
    "growth",
    "hard_sigmoid",
    "identity",
    "initial_scales",
    "invariant_boxes",
    "is_linear_recurrence",
    "jacobian",
    "jacobian_shares",
    "k_step_jacobian",
    "linearize",
    "mean",
    "memory_biases",
    "path",
    "prove",
    "published",
    "recheck_certificate",
    "relu",
    "sigmoid",
    "softsign",
    "stability",
    "stays_in",
    "step_jacobian",
    "tanh",
    "variance",
    "variants",
]

globals().update(ACTIVATIONS)  # an activation added to the table is importable by name without an edit here
__all__ += [name for name in ACTIVATIONS if name not in __all__]
