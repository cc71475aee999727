"""``emit``: the thirteen files under tests/golden, and what holds for the file of any cell."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings

import codegen
import derive
from derive import Cell
from tests.codegen.unusual_cells import UNUSUAL
from tests.strategies import cells

ROOT = Path(__file__).resolve().parents[2]
CELLS = [*map(derive.cell, derive.catalogue()), *UNUSUAL]


def by_name(cell: Cell) -> str:
    return cell.name


@pytest.mark.parametrize("name", derive.catalogue())
def test_golden(name: str, golden) -> None:
    golden(f"emitted/{name.replace('-', '_')}.py", codegen.emit(name))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("emitted")
    for cell in CELLS:
        (path / f"{cell.name.replace('-', '_')}.py").write_text(codegen.emit(cell))
    return path


@pytest.mark.parametrize("width", [88, 100, 110])
def test_ruff_format_changes_nothing(folder: Path, width: int) -> None:
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(width), "--diff"]
    run = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_ruff_check_finds_nothing(folder: Path) -> None:
    rules = ["--select", "E,W,F,I,UP,SIM,C4,PIE", "--line-length", "88"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rules, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.slow
def test_mypy_strict_finds_nothing(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--strict",
        "--config-file",
        os.devnull,
        "--cache-dir",
        os.devnull,
    ]
    run = subprocess.run(
        [*command, *map(str, folder.glob("*.py"))], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("cell", CELLS, ids=by_name)
def test_imports_the_standard_library_and_torch_alone(cell: Cell) -> None:
    tree = ast.parse(codegen.emit(cell))
    modules = [a.name for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    modules += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert {m.split(".")[0] for m in modules} <= {*sys.stdlib_module_names, "torch"}


def test_is_self_contained(folder: Path) -> None:
    """Any file runs where neither derive nor codegen can be imported."""
    code = (
        "import sys, importlib, pathlib, torch\n"
        "for path in sorted(pathlib.Path('.').glob('*.py')): importlib.import_module(path.stem)\n"
        "from pseudo_lstm import PseudoLSTM\n"
        "layer = PseudoLSTM(4, 5)\n"
        "y, s = layer(torch.randn(6, 3, 4)); y.sum().backward()\n"
        "assert y.shape == (6, 3, 5) and s.shape == (3, 5) and layer.cell.W_f.grad is not None\n"
        "assert layer(torch.randn(6, 4))[0].shape == (6, 5)\n"
        "assert layer.cell(torch.randn(3, 4))[1].shape == (3, 5)\n"
        "assert not {'derive', 'codegen', 'sympy'} & {m.split('.')[0] for m in sys.modules} - set(sys.argv)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    command = [sys.executable, "-c", code]
    subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)


def test_is_deterministic_and_needs_no_torch() -> None:
    code = (
        "import sys, codegen, derive\n"
        "sys.stdout.buffer.write(''.join(map(codegen.emit, derive.catalogue())).encode())\n"
        "assert 'torch' not in sys.modules"
    )
    found = [
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            check=True,
            capture_output=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1] == "".join(map(codegen.emit, derive.catalogue())).encode()


@settings(max_examples=40)
@given(cells())
def test_any_cell_compiles_to_short_lines(cell: Cell) -> None:
    source = codegen.emit(cell)
    compile(source, "emitted", "exec")
    assert max(map(len, source.splitlines())) <= 88
    assert codegen.emit(cell) == source


def test_header_tells_where_the_cell_comes_from() -> None:
    header = ast.get_docstring(ast.parse(codegen.emit("pseudo-lstm"))) or ""
    text = " ".join(header.split())
    assert "Derived from the vanilla cell by write-incrementally, gate-write, gate-read" in text
    assert "Reference: r2rt, Written Memories (2016)." in text
    assert "Parameters: 4n² + 4nm + 4n." in text
    assert f"Cellwright {derive.__version__}" in text
    assert "Apache-2.0" in text


def test_header_claims_no_derivation_for_a_changed_cell() -> None:
    changed = derive.cell("pseudo-lstm").with_activations({"s_tilde": "relu"})
    assert "Derived" not in codegen.emit(changed)


def test_header_survives_quotes_and_backslashes() -> None:
    cell = UNUSUAL[0].replace(title='the "odd" \\one"""', reference='R. "Q" \\')
    ast.parse(codegen.emit(cell))


def test_time_is_unbound_once() -> None:
    """Indexing the input by the step would make the backward pass quadratic in T."""
    for cell in CELLS:
        loops = [n for n in ast.walk(ast.parse(codegen.emit(cell))) if isinstance(n, ast.For)]
        subscripts = [
            s for loop in loops for body in loop.body for s in ast.walk(body) if isinstance(s, ast.Subscript)
        ]
        assert subscripts == []


def test_without_biases_there_is_no_bias() -> None:
    assert "b_i" not in codegen.emit("lstm", bias=False)


def test_unknown_names_say_the_nearest() -> None:
    with pytest.raises(derive.UnknownCell, match="gru"):
        codegen.emit("grru")
    with pytest.raises(codegen.UnknownBackend, match=r"did you mean 'eager'.*Backends: .*eager"):
        codegen.emit("gru", backend="eagre")


def test_graph_has_one_product_for_the_whole_input() -> None:
    """Counted in the autograd graph: one recurrent product for each of T steps, and one for all inputs."""
    layer = codegen.build("lstm", 4, 5)
    output, _ = layer(torch.randn(7, 3, 4))
    seen, frontier = set(), [output.grad_fn]
    while frontier:
        node = frontier.pop()
        if node is not None and node not in seen:
            seen.add(node)
            frontier += [parent for parent, _ in node.next_functions]
    products = [node for node in seen if node.name().startswith(("AddmmBackward", "MmBackward"))]
    assert len(products) == 7 + 1
