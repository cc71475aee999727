"""``cellwright certify``: what is proved about a trained network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from codegen.cli.common import CellName, find_cell, out, print_json
from codegen.errors import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command to the app."""
    app.command("certify", epilog="Example: cellwright certify gru --weights runs/gru/best.safetensors")(
        certify
    )


def certify(
    cell: CellName,
    weights: Annotated[
        Path, typer.Option(metavar="FILE", help="Weights as cellwright train writes them, safetensors.")
    ],
    inputs: Annotated[
        float | None,
        typer.Option(
            metavar="X", help="Bound of |x|; by default from the embedding in the file, or any input.", min=0
        ),
    ] = None,
    norm: Annotated[str, typer.Option(help="inf or 2.")] = "inf",
    layer: Annotated[str | None, typer.Option(help="Which layer, where the file has several.")] = None,
    floats: Annotated[
        bool, typer.Option("--float", help="float64 instead of ball arithmetic: rounding is not counted.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Say whether a trained network contracts, where its state stays, and how long a change matters."""
    if norm not in ("2", "inf"):
        raise ConfigError(f"--norm {norm!r}: expected inf or 2")
    found = find_cell(cell)
    from codegen.certify import certify as run_certify
    from codegen.certify import read_weights

    read = read_weights(weights, found, layer)
    limit = read.inputs if inputs is None else inputs
    certificate = run_certify(read.cell, read.params, norm=norm, inputs=limit, rigorous=not floats)
    if json:
        print_json({"weights": str(weights), "layer": read.layer.rstrip("."), **certificate.to_dict()})
    else:
        out.print(str(certificate), markup=False)
