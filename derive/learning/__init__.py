"""Learning from the symbolic Jacobian: gradients carried forward in time, without a tape."""

from derive.learning.sensitivities import Sensitivities

__all__ = ["Sensitivities"]
