"""Temporal order of three symbols: Hochreiter and Schmidhuber (1997), experiment 6b; see `temporal_order`.

The original has t₁ in [10, 20], t₂ in [33, 43] and t₃ in [66, 76] of 100 to 110 steps, and eight classes.
"""

from __future__ import annotations

from codegen.training.tasks.temporal_order import order_of

PLACES = ((10, 20), (33, 43), (66, 76))
PROBLEM = order_of("temporal-order-three", "the order of three symbols among distractors", PLACES)
TASK = PROBLEM.kind()
