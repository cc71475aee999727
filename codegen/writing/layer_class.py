"""The generated layer class: the cell over time."""

from __future__ import annotations

from codegen.writing.cell_class import (
    constructor,
    extra_sizes,
    optional_state,
    output_value,
    step_arguments,
)
from codegen.writing.interface import Interface
from codegen.writing.layout import indent, listed
from codegen.writing.phase import BODY
from derive.symbols import Input


def layer_class(face: Interface, forward: list[str] | None = None) -> list[str]:
    """The class that runs over a sequence; ``forward`` is its method if it is not to go step by step."""
    methods = [_init(face), forward or _forward(face), _trace(face), _steps(face)]
    head = [f"class {face.class_name}(nn.Module):"]
    head += [
        f'    """The cell over time: {face.input} (T, B, m) or (T, m) and a state -> outputs, last state."""'
    ]
    return head + [line for method in methods for line in ["", *indent(method)]]


def _init(face: Interface) -> list[str]:
    arguments = ["input_size", "hidden_size", *extra_sizes(face), "device=device", "dtype=dtype"]
    lines = ["super().__init__()", *listed(f"self.cell = {face.class_name}Cell(", arguments, ")", BODY)]
    return [*constructor(face), *indent(lines)]


def _arguments(face: Interface) -> list[str]:
    return ["self", f"{face.input}: Tensor", optional_state(face, " = None")]


def layer_forward_head(face: Interface) -> list[str]:
    """The head of a layer's ``forward``."""
    return listed("def forward(", _arguments(face), f") -> tuple[Tensor, {face.state.type}]:", 1)


def _forward(face: Interface) -> list[str]:
    head = layer_forward_head(face)
    reads = [face.names[q] for q in face.plan.late_reads if not isinstance(q, Input)]
    if face.plan.cell.output is None:
        lines = _loop(face, None)
        lines.append(f"return {output_value(face, '{}')}, {face.new_state}")
    elif not face.plan.late:
        output = face.names[face.plan.cell.symbols[face.plan.cell.output]]
        lines = ["outputs = []", *_loop(face, f"outputs.append(step.{output})")]
        lines.append(f"return torch.stack(outputs), {face.new_state}")
    else:
        values = [f"step.{name}" for name in reads]
        record = values[0] if len(values) == 1 else f"({', '.join(values)})"
        lines = ["history = []", *_loop(face, f"history.append({record})")]
        form = "torch.stack(history)" if len(reads) == 1 else "{}"
        if len(reads) > 1:
            lines.append(f"{', '.join(reads)} = map(torch.stack, zip(*history, strict=True))")
        value = output_value(face, form).replace("self.output", "self.cell.output")
        lines.append(f"return {value}, {face.new_state}")
    return [*head, *indent(lines)]


def _loop(face: Interface, body: str | None) -> list[str]:
    return [f"for step in self.steps({face.input}, {face.state.argument}):", f"    {body or 'pass'}"]


def _trace(face: Interface) -> list[str]:
    record = f"{face.class_name}Step"
    lines = ['"""Every vector at every step by name: (T, B, n), or (T, n) for one sequence."""']
    lines += [f"steps = zip(*self.steps({face.input}, {face.state.argument}), strict=True)"]
    lines += [f"names = {record}._fields"]
    by_name = "dict(zip(names, map(torch.stack, steps), strict=True))"
    lines.append(f"trace = {by_name}" if face.plan.late else f"return {by_name}")
    late = [face.names[symbol] for symbol in face.plan.late]
    if late:
        reads = [
            face.input if isinstance(q, Input) else f'trace["{face.names[q]}"]' for q in face.plan.late_reads
        ]
        target = f'trace["{late[0]}"] = ' if len(late) == 1 else "late = "
        lines += listed(f"{target}self.cell.output(", reads, ")", BODY)
    if len(late) > 1:
        names = ", ".join(f'"{name}"' for name in late)
        lines.append(f"trace.update(zip(({names}), late, strict=True))")
    if late:
        lines.append("return trace")
    return [*listed("def trace(", _arguments(face), ") -> dict[str, Tensor]:", 1), *indent(lines)]


def _steps(face: Interface) -> list[str]:
    x, state = face.input, face.state.argument
    record = f"{face.class_name}Step"
    lines = ['"""The steps one after the other, each from the state that the last one left."""']
    lines += [f"if {x}.dim() not in (2, 3) or len({x}) == 0:"]
    lines += [f'    raise ValueError(f"{x} is (T, B, m) or (T, m), T > 0, not {{tuple({x}.shape)}}")']
    lines += [f"{state} = self.cell.start({x}[0], {state})"]
    prepared = face.prepared.argument if face.prepared else ""
    if face.prepared:
        lines.append(f"{prepared} = self.cell.prepare()")
    if len(face.handed.names) > 1:
        lines += [f"blocks = self.cell.project({x})"]
        lines += ["for projected in zip(*(block.unbind(0) for block in blocks), strict=True):"]
    elif face.handed:
        lines += [f"for projected in self.cell.project({x}).unbind(0):"]
    else:
        lines += [f"for _ in range(len({x})):"]
    calls = step_arguments(face, handed="projected", state=state, prepared=prepared)
    lines += indent(listed("step = self.cell.step(", calls, ")", BODY + 1))
    lines += [f"    {state} = {face.new_state.strip('()')}", "    yield step"]
    head = listed("def steps(", _arguments(face), f") -> Iterator[{record}]:", 1)
    return [*head, *indent(lines)]
