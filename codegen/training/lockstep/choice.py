"""Whether trainings should go in lockstep, and why."""

from __future__ import annotations

import torch

LOCKSTEP_SIZE = 20
"""Members of one stack; 20 of the article's sizes take some 5 GB with their moments and a batch's logits."""


def lockstep_choice(device: torch.device | str, trials: int) -> tuple[bool, str]:
    """Whether so many trials of one cell should train in lockstep on that device, and a sentence of why.

    More than `LOCKSTEP_SIZE` are to be divided into stacks of at most so many.
    """
    kind = torch.device(device).type
    if kind == "cpu":
        return False, "one at a time: on a CPU that is faster, with the native kernel"
    if kind != "cuda":
        return False, f"one at a time: lockstep is written for CUDA, not for {kind}"
    if trials < 2:
        return False, "one at a time: there is no second trial of this cell to go beside it"
    return True, f"in lockstep, up to {LOCKSTEP_SIZE} at a time: one model alone leaves a GPU mostly idle"
