"""Fixed points of a cell and what happens near them."""

from derive.dynamics.equilibrium import Equilibrium, NoEquilibrium, equilibrium
from derive.dynamics.linearize import Linearization, NotAnEquilibrium, linearize
from derive.dynamics.spectrum import Spectrum, spectrum
from derive.dynamics.verify import Verified, verify

__all__ = [
    "Equilibrium",
    "Linearization",
    "NoEquilibrium",
    "NotAnEquilibrium",
    "Spectrum",
    "Verified",
    "equilibrium",
    "linearize",
    "spectrum",
    "verify",
]
