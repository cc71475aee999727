"""The generated cell class: parameters, what is computed once, one step."""

from __future__ import annotations

from codegen.plan import Product
from codegen.writing.interface import Interface
from codegen.writing.layout import indent, listed, returned
from codegen.writing.phase import BODY, PhaseWriter, size_name, size_of
from derive.show.notation import ATOM
from derive.symbols import Input, Parameter, Vector


def record_class(face: Interface) -> list[str]:
    """The named tuple of a step's values."""
    lines = [f"class {face.class_name}Step(NamedTuple):", '    """The values of one step."""', ""]
    return lines + [f"    {name}: Tensor" for name, _ in face.fields]


def cell_class(face: Interface) -> list[str]:
    """The class of one step."""
    methods = [_init(face), _reset(face), _start(face)]
    if face.handed:
        methods.append(_project(face))
    if face.prepared:
        methods.append(_prepare(face))
    methods.append(_step(face))
    if face.plan.late:
        methods.append(_output(face))
    methods.append(_forward(face))
    head = [f"class {face.class_name}Cell(nn.Module):", '    """One step of the recurrence."""']
    return head + [line for method in methods for line in ["", *indent(method)]]


def extra_sizes(face: Interface) -> list[str]:
    """The constructor's arguments for axes other than n and m."""
    return [size_name(axis) for axis in face.plan.axes if axis not in ("n", "m")]


def constructor(face: Interface) -> list[str]:
    """The head of ``__init__``, which cell and layer share."""
    sizes = ["input_size", "hidden_size", *extra_sizes(face)]
    options = ["device: torch.device | str | None = None", "dtype: torch.dtype | None = None"]
    return listed("def __init__(", ["self", *(f"{s}: int" for s in sizes), "*", *options], ") -> None:", 1)


def _init(face: Interface) -> list[str]:
    lines = [
        "super().__init__()",
        *(f"self.{s} = {s}" for s in ("input_size", "hidden_size", *extra_sizes(face))),
    ]
    axes = {axis for axes in face.plan.cell.parameters.values() for axis in axes}
    short = [axis for axis in ("n", "m") if axis in axes]
    if short:
        lines.append(f"{', '.join(short)} = {', '.join(size_name(axis) for axis in short)}")
    if face.plan.cell.parameters:
        lines += ["", "def parameter(*shape: int) -> nn.Parameter:"]
        lines += ["    return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))", ""]
    for name, axes_of_it in face.plan.cell.parameters.items():
        sizes = [axis if axis in ("n", "m") else size_name(axis) for axis in axes_of_it]
        lines.append(f"self.{name} = parameter({', '.join(sizes)})")
    return [*constructor(face), *indent([*lines, "self.reset_parameters()"])]


def _reset(face: Interface) -> list[str]:
    return [
        "def reset_parameters(self) -> None:",
        '    """Draw every parameter uniformly from ±1/√n, as torch.nn.LSTM does."""',
        "    bound = 1 / math.sqrt(self.hidden_size)",
        "    for parameter in self.parameters():",
        "        nn.init.uniform_(parameter, -bound, bound)",
    ]


def _start(face: Interface) -> list[str]:
    x = face.input
    cell = face.plan.cell
    features = size_of(cell.symbols[cell.inputs[0]].axes[0]) if cell.inputs else "self.input_size"
    lines = [f'"""The state before a step that reads {x}: the one given, or zeros."""']
    lines += [f"if {x}.dim() not in (1, 2) or {x}.shape[-1] != {features}:"]
    lines += [f"    shape, size = tuple({x}.shape), {features}"]
    lines += [f'    raise ValueError(f"a step takes {x} (B, {{size}}) or ({{size}},), not {{shape}}")']
    lines += _start_one(face) if len(face.state.names) == 1 else _start_several(face)
    head = listed("def start(", ["self", f"{x}: Tensor", optional_state(face)], f") -> {face.state.type}:", 1)
    return [*head, *indent(lines)]


def optional_state(face: Interface, default: str = "") -> str:
    """The state as an argument that may be None."""
    return f"{face.state.argument}: {face.state.type} | None{default}"


def _start_one(face: Interface) -> list[str]:
    s = face.state.names[0]
    return [
        f"expected = (*{face.input}.shape[:-1], {size_of(face.plan.states[0].axes[0])})",
        f"if {s} is None:",
        f"    return {face.input}.new_zeros(expected)",
        f"if {s}.shape != expected:",
        f'    raise ValueError(f"{s} has shape {{tuple({s}.shape)}}, expected {{expected}}")',
        f"return {s}",
    ]


def _start_several(face: Interface) -> list[str]:
    sizes = ", ".join(size_of(symbol.axes[0]) for symbol in face.plan.states)
    names = ", ".join(face.state.names)
    return [
        f"sizes = ({sizes})",
        f"expected = [(*{face.input}.shape[:-1], size) for size in sizes]",
        "if state is None:",
        f"    return tuple({face.input}.new_zeros(shape) for shape in expected)",
        "shapes = [tuple(value.shape) for value in state]",
        "if shapes != expected:",
        f'    raise ValueError(f"({names}) has shapes {{shapes}}, expected {{expected}}")',
        "return state",
    ]


def _project(face: Interface) -> list[str]:
    writer = PhaseWriter(face.plan, face.names, blocks=face.blocks)
    whole = _lone_product(face)
    if whole is not None:
        lines, text = writer.value(whole)
        blocks = face.blocks.of(whole)
        before, cut = writer.cut(blocks, text, ATOM) if len(blocks) > 1 else ([], text)
        lines += [*before, f"return {cut}"]
    else:
        lines = [*writer.lines(face.plan.before), *returned(face.handed.names, BODY)]
    doc = '"""What the steps need of the input, computed for all of them at once."""'
    head = f"def project(self, {face.input}: Tensor) -> {face.handed.type}:"
    return [head, *indent([doc, *lines])]


def _lone_product(face: Interface) -> Product | None:
    """The product that is all there is to compute before the loop, if its blocks are handed over in order."""
    statements = face.plan.before.statements
    if len(statements) != 1 or not isinstance(statements[0], Product):
        return None
    return statements[0] if tuple(face.blocks.of(statements[0])) == tuple(face.blocks.names) else None


def _prepare(face: Interface) -> list[str]:
    stacks = "matrices that act on the same vector, stacked"
    doc = f'"""What all steps share{", computed once" if face.plan.once else f": {stacks}"}."""'
    return [f"def prepare(self) -> {face.prepared.type}:", *indent([doc, *face.prepare_lines])]


def step_arguments(face: Interface, *, handed: str, state: str, prepared: str) -> list[str]:
    """The arguments of a call of ``step``."""
    return [*([handed] if face.handed else []), state, *([prepared] if face.prepared else [])]


def _step(face: Interface) -> list[str]:
    record = f"{face.class_name}Step"
    arguments = ["self", *face.handed.signature, *face.old_state.signature, *face.prepared.signature]
    head = listed("def step(", arguments, f") -> {record}:", 1)
    lines = ['"""One step; a_v is the sum inside the activation of v."""'] if _has_sums(face) else []
    lines += [*face.handed.unpacking, *face.old_state.unpacking, *face.prepared.unpacking]
    writer = PhaseWriter(face.plan, face.names, blocks=face.blocks, stacked=face.stacked)
    lines += writer.lines(face.plan.step)
    lines += listed(f"return {record}(", [value for _, value in face.fields], ")", BODY)
    return [*head, *indent(lines)]


def _has_sums(face: Interface) -> bool:
    """Whether the step names sums that stand inside activations."""
    return any(len(p.parts) > 1 and (p.addends or p.parts[0].biases) for p in face.plan.step.products)


def _output(face: Interface) -> list[str]:
    names = [face.names[q] for q in face.plan.late_reads]
    result = "Tensor" if len(face.plan.late) == 1 else "Tensors"
    head = listed("def output(", ["self", *(f"{name}: Tensor" for name in names)], f") -> {result}:", 1)
    lines = PhaseWriter(face.plan, face.names).lines(face.plan.after)
    values = [face.names[symbol] for symbol in face.plan.late]
    prefix = f"{values[0]} = "
    if len(values) == 1 and lines[-1].startswith(prefix):
        lines[-1] = f"return {lines[-1].removeprefix(prefix)}"
    else:
        lines += returned(values, BODY)
    doc = f'"""{", ".join(values)} from {", ".join(names)}; nothing in the recurrence reads it."""'
    return [*head, *indent([doc, *lines])]


def output_arguments(face: Interface, form: str) -> list[str]:
    """The arguments of a call of ``output``; ``form`` says how a recorded value is reached."""
    return [face.input if isinstance(q, Input) else form.format(face.names[q]) for q in face.plan.late_reads]


def output_value(face: Interface, form: str) -> str:
    """The cell's output as text."""
    cell = face.plan.cell
    if cell.output is None:
        return f"{face.input}.new_empty(*{face.input}.shape[:-1], 0)"
    symbol = cell.symbols[cell.output]
    assert isinstance(symbol, Vector)
    assert not isinstance(symbol, Parameter)
    if symbol not in face.plan.late:
        return form.format(face.names[symbol])
    call = f"self.output({', '.join(output_arguments(face, form))})"
    return call if len(face.plan.late) == 1 else f"{call}[{face.plan.late.index(symbol)}]"


def _forward(face: Interface) -> list[str]:
    x, state = face.input, face.state
    head = listed(
        "def forward(",
        ["self", f"{x}: Tensor", optional_state(face, " = None")],
        f") -> tuple[Tensor, {state.type}]:",
        1,
    )
    calls = step_arguments(
        face,
        handed=f"self.project({x})",
        state=f"self.start({x}, {state.argument})",
        prepared="self.prepare()",
    )
    lines = [f'"""One step: {x} (B, m) or (m,) and the state -> the output and the new state."""']
    lines += listed("step = self.step(", calls, ")", BODY)
    lines += [f"return {output_value(face, 'step.{}')}, {face.new_state}"]
    return [*head, *indent(lines)]
