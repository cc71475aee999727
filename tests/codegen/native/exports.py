"""The functions of the C texts as exported functions, so that Python can call them."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from codegen.native.library import Library, load, prelude

FUNCTIONS = ("exp", "expm1", "log1p", "tanh", "sigmoid", "sqrt", "abs")

_MAP = """
CW_EXPORT void map_{name}(void *const *t, const int64_t *sizes, int64_t first, int64_t last) {{
    cw_real *y = t[0];
    const cw_real *x = t[1];
    (void)sizes;
    for (; first + CW_LANES <= last; first += CW_LANES) cw_store(y + first, cw_{name}(cw_load(x + first)));
    if (first < last)
        cw_store_part(y + first, cw_{name}(cw_load_part(x + first, last - first)), last - first);
}}
"""
EXPORTS = (
    "".join(_MAP.format(name=name) for name in FUNCTIONS)
    + """
CW_EXPORT int64_t lanes(void) { return CW_LANES; }
CW_EXPORT int64_t packed_size(int64_t columns, int64_t depth) { return cw_packed_size(columns, depth); }
CW_EXPORT void pack(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    (void)first, (void)last;
    cw_pack(t[0], t[1], s[0], s[1], s[2], s[3]);
}
CW_EXPORT void multiply(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    cw_real *y = t[0];
    const cw_real *c = t[1], *v = t[2];
    cw_multiply(y + first * s[0], s[0], c ? c + first * s[1] : 0, s[1], v + first * s[2], s[2], t[3],
                last - first, s[3], s[4]);
}
CW_EXPORT void copy_part(void *const *t, const int64_t *s, int64_t first, int64_t last) {
    (void)first, (void)last;
    cw_store_part(t[0], cw_load_part(t[1], (int)s[0]), (int)s[0]);
}
"""
)


def text(dtype: torch.dtype, *defines: str) -> str:
    """Prelude and exports, after `defines` such as ``CW_ROWS 12``."""
    chosen = "".join(f"#define {define}\n" for define in defines)
    return chosen + prelude(dtype == torch.float64) + EXPORTS


def library(dtype: torch.dtype, *defines: str) -> Library:
    return load(text(dtype, *defines))


def packed(lib: Library, weight: torch.Tensor, *, transposed: bool = False) -> torch.Tensor:
    """The panels of a contiguous weight (K, n), for ``v W^T`` or, transposed, for ``d W``."""
    outputs, inputs = weight.shape
    columns, depth, strides = (
        (outputs, inputs, (inputs, 1)) if not transposed else (inputs, outputs, (1, inputs))
    )
    panels = torch.full((lib.size("packed_size", columns, depth),), torch.nan, dtype=weight.dtype)
    lib.call("pack", [panels, weight], [columns, depth, *strides])
    return panels


def multiply(
    lib: Library,
    y: torch.Tensor,
    addend: torch.Tensor | None,
    v: torch.Tensor,
    panels: torch.Tensor,
    *,
    threads: int = 1,
) -> None:
    """y = addend + v W^T in place, for matrices whose rows may lie apart."""
    strides: Sequence[int] = [y.stride(0), 0 if addend is None else addend.stride(0), v.stride(0)]
    sizes = [*strides, y.shape[1], v.shape[1]]
    lib.call("multiply", [y, addend, v, panels], sizes, rows=y.shape[0], threads=threads)
