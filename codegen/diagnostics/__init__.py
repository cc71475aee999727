"""What the theory says of a cell, measured on real inputs while it is trained."""

from codegen.diagnostics.bounds import Bounds, BrokenBound
from codegen.diagnostics.measure import Measurements, measure
from codegen.diagnostics.model import diagnostics, sequence_diagnostics
from codegen.diagnostics.sensitivity import LAGS

__all__ = ["LAGS", "Bounds", "BrokenBound", "Measurements", "diagnostics", "measure", "sequence_diagnostics"]
