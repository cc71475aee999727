"""From equations to a :class:`~codegen.plan.Plan`: levels and hoisting, grouping of products, scheduling."""

from codegen.lowering.lower import lower

__all__ = ["lower"]
