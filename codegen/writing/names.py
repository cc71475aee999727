"""Python names for a plan's quantities, and class names for cells."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterable, Iterator, Mapping

from codegen.errors import Unsupported
from codegen.lowering.names import Names, previous_name
from codegen.plan import Plan
from derive.cell import Cell
from derive.symbols import Input, Previous, Quantity

RESERVED = frozenset(
    [
        "F",
        "Iterator",
        "NamedTuple",
        "Tensor",
        "Tensors",
        "bias",
        "blocks",
        "bool",
        "bound",
        "device",
        "dict",
        "dtype",
        "expected",
        "float",
        "history",
        "int",
        "late",
        "len",
        "map",
        "math",
        "names",
        "nn",
        "outputs",
        "parameter",
        "projected",
        "range",
        "self",
        "shape",
        "shapes",
        "size",
        "sizes",
        "state",
        "step",
        "steps",
        "str",
        "super",
        "torch",
        "trace",
        "tuple",
        "value",
        "values",
        "weight",
        "weights",
        "zip",
    ]
)
"""What generated code uses as local or global names."""

_MODULE_ATTRIBUTES = frozenset(
    [
        "T_destination",
        "add_module",
        "apply",
        "bfloat16",
        "buffers",
        "call_super_init",
        "children",
        "compile",
        "cpu",
        "cuda",
        "double",
        "dump_patches",
        "eval",
        "extra_repr",
        "float",
        "forward",
        "get_buffer",
        "get_extra_state",
        "get_parameter",
        "get_submodule",
        "half",
        "hidden_size",
        "input_size",
        "ipu",
        "load_state_dict",
        "modules",
        "mtia",
        "named_buffers",
        "named_children",
        "named_modules",
        "named_parameters",
        "output",
        "parameters",
        "prepare",
        "project",
        "register_backward_hook",
        "register_buffer",
        "register_forward_hook",
        "register_forward_pre_hook",
        "register_full_backward_hook",
        "register_full_backward_pre_hook",
        "register_load_state_dict_post_hook",
        "register_load_state_dict_pre_hook",
        "register_module",
        "register_parameter",
        "register_state_dict_post_hook",
        "register_state_dict_pre_hook",
        "requires_grad_",
        "reset_parameters",
        "set_extra_state",
        "set_submodule",
        "share_memory",
        "start",
        "state_dict",
        "step",
        "steps",
        "to",
        "to_empty",
        "trace",
        "train",
        "training",
        "type",
        "xpu",
        "unroll",
        "zero_grad",
    ]
)
"""Attributes of ``torch.nn.Module`` and generated classes; listed, since emitting does not import torch."""


def class_name(cell: Cell) -> str:
    """``PseudoLSTM`` for ``pseudo-lstm``: each word as the cell's title spells it, else capitalized."""
    spelt = {word.lower(): word for word in re.findall(r"[A-Za-z0-9]+", cell.title) if word.isupper()}
    name = "".join(spelt.get(word, word.capitalize()) for word in cell.name.split("-"))
    if name[0].isdigit():
        name = f"Cell{name}"
    return f"{name}Layer" if name in RESERVED or keyword.iskeyword(name) else name


def snake_case(name: str) -> str:
    """A class name as functions are named: ``PseudoLSTM`` becomes ``pseudo_lstm``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


class Identifiers(Mapping[Quantity, str]):
    """The local name of every vector, old state, input and parameter of a plan; parameters are attributes."""

    def __init__(self, plan: Plan) -> None:
        self._refuse_attribute_names(plan.cell)
        self.names = Names(RESERVED)
        self._of: dict[Quantity, str] = {}
        phases = (plan.once, plan.before, plan.step, plan.after)
        vectors = [*plan.cell.equations, *(symbol for phase in phases for symbol in phase.symbols)]
        self._add([q for q in plan.cell.symbols.values() if isinstance(q, Input)])
        self._add(vectors)
        self._add([symbol.prev for symbol in plan.states])
        for name in plan.cell.parameters:
            parameter = plan.cell.symbols[name]
            self._of[parameter] = f"self.{name}"

    def _add(self, quantities: Iterable[Quantity]) -> None:
        for quantity in quantities:
            if quantity not in self._of:
                wish = previous_name(quantity) if isinstance(quantity, Previous) else quantity.label
                self._of[quantity] = self.names.fresh(wish.strip("_") or "v")

    @staticmethod
    def _refuse_attribute_names(cell: Cell) -> None:
        for name in cell.parameters:
            if name in _MODULE_ATTRIBUTES or name.startswith("_"):
                raise Unsupported(
                    f"{cell.name}: a parameter cannot be called {name!r}, which torch.nn.Module or the "
                    "generated class uses itself; rename the parameter"
                )

    def __getitem__(self, quantity: Quantity) -> str:
        return self._of[quantity]

    def __iter__(self) -> Iterator[Quantity]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)

    def fresh(self, wish: str) -> str:
        """A local name that nothing else has."""
        return self.names.fresh(wish)
