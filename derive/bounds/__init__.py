"""What bounds a cell's states and the Jacobian of its step: in symbols of norms, and for given weights."""

from derive.bounds.bound import Bound, bound
from derive.bounds.growth import Growth, growth
from derive.bounds.invariant import StateBox, invariant_boxes

__all__ = ["Bound", "Growth", "StateBox", "bound", "growth", "invariant_boxes"]
