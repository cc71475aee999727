"""``check``: does generated code compute what the equations say?

Three voices that share no code: the NumPy evaluator of ``derive``, the generated torch code, and torch's
own layers.
"""

from codegen.checking.comparisons import check
from codegen.checking.report import CheckReport, Comparison

__all__ = ["CheckReport", "Comparison", "check"]
