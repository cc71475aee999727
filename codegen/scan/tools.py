"""The scan itself, as text: functions that every emitted file with a scan brings along."""

from __future__ import annotations

from collections.abc import Mapping


def tools(functions: Mapping[str, str], coupled: bool) -> list[str]:
    """The functions of a scan, by the names that they are to have; ``coupled`` if states move together."""
    text = _TOOLS.replace("<STEP>", (_COUPLED if coupled else _SINGLE).lstrip())
    text = text.replace("<FLAG>", ", decay.dim() > addend.dim()" if coupled else "")
    for wish, name in functions.items():
        text = text.replace(f"<{wish.upper()}>", name)
    return text.strip().split("\n")


_SINGLE = '''
def <ADVANCE>(
    decay: Tensor, state: Tensor, addend: Tensor, out: Tensor | None = None
) -> Tensor:
    """One step."""
    return torch.addcmul(addend, decay, state, out=out)


def <COMPOSE>(later: Tensor, earlier: Tensor) -> Tensor:
    """The decay over one step after others."""
    return later * earlier
'''

_COUPLED = '''
def <ADVANCE>(
    decay: Tensor, state: Tensor, addend: Tensor, out: Tensor | None = None
) -> Tensor:
    """One step; of k coupled states (…, k, B, n), with decays (…, k, k, B, n)."""
    if decay.dim() == state.dim():
        return torch.addcmul(addend, decay, state, out=out)
    return torch.add(addend, (decay * state.unsqueeze(-4)).sum(-3), out=out)


def <COMPOSE>(later: Tensor, earlier: Tensor, coupled: bool) -> Tensor:
    """The decay over one step after others."""
    if not coupled:
        return later * earlier
    return (later.unsqueeze(-3) * earlier.unsqueeze(-5)).sum(-4)
'''

_TOOLS = '''
<CHUNK_STEPS> = 16
"""The steps of a chunk, which go one after the other; chunks go side by side."""


def <WIDENED>(function: Any) -> Any:
    """In float32 for bfloat16 and float16: many steps would lose what each rounds away."""

    def run(*arguments: Any) -> Tensors:
        dtype = next(a.dtype for a in arguments if isinstance(a, Tensor))
        if dtype not in (torch.bfloat16, torch.float16):
            found: Tensors = function(*arguments)
            return found
        wide = (a.float() if isinstance(a, Tensor) else a for a in arguments)
        return tuple(value.to(dtype) for value in function(*wide))

    return run


<STEP>

def <SCAN>(decay: Tensor, addend: Tensor, state: Tensor, reverse: bool = False) -> Tensor:
    """What every step leaves of ``state = decay * state + addend``: (T, B, n), like both.

    What a chunk of steps does to a state is again a step, so the state before each chunk
    is found by the same scan; then all chunks go through their steps side by side.  In
    reverse from the last step on.
    """
    steps = addend.shape[0]
    found = addend.new_empty(addend.shape)
    size = <CHUNK_STEPS>
    whole = steps // size * size
    if whole <= size:
        for t in reversed(range(steps)) if reverse else range(steps):
            state = <ADVANCE>(decay[t], state, addend[t], out=found[t])
        return found
    if reverse and whole < steps:
        found[whole:] = <SCAN>(decay[whole:], addend[whole:], state, reverse)
        state = found[whole]
    decays, addends, inside = (
        value[:whole].unflatten(0, (-1, size)) for value in (decay, addend, found)
    )
    order = range(size)[::-1] if reverse else range(size)
    over, left = decays[:, order[0]], addends[:, order[0]]
    for t in order[1:]:
        left = <ADVANCE>(decays[:, t], left, addends[:, t])
        over = <COMPOSE>(decays[:, t], over<FLAG>)
    after = <SCAN>(over, left, state, reverse)
    first = state.unsqueeze(0)
    before = torch.cat((after[1:], first) if reverse else (first, after[:-1]))
    for t in order:
        before = <ADVANCE>(decays[:, t], before, addends[:, t], out=inside[:, t])
    if not reverse and whole < steps:
        found[whole:] = <SCAN>(decay[whole:], addend[whole:], found[whole - 1], reverse)
    return found
'''
