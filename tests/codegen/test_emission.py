"""``emit``: files under tests/golden, and what holds for the file of any cell."""

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
from codegen.native.library import prelude
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


@pytest.mark.parametrize(
    ("name", "backend", "suffix"),
    [("gru", "fused", "py"), ("pseudo-lstm", "fused", "py"), ("gru", "native", "c")],
)
def test_golden_of_loops(name: str, backend: str, suffix: str, golden) -> None:
    """Of C what is generated, without the text that all kernels start with."""
    text = codegen.emit(name, backend).removeprefix(prelude(double=False)).lstrip("\n")
    golden(f"emitted/{backend}/{name.replace('-', '_')}.{suffix}", text)


ALONE = ("eager", "fused")
"""The backends whose files need nothing but torch."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of them, with all their files."""
    path = tmp_path_factory.mktemp("emitted")
    for backend in ALONE:
        (path / backend).mkdir()
        for cell in CELLS:
            name = f"{cell.name.replace('-', '_')}.py"
            (path / backend / name).write_text(codegen.emit(cell, backend))
    return path


@pytest.fixture(params=ALONE)
def folder(request: pytest.FixtureRequest, folders: Path) -> Path:
    return folders / request.param


@pytest.mark.parametrize("width", [88, 100, 110])
def test_ruff_format_changes_nothing(folder: Path, width: int) -> None:
    if width != 88 and folder.name == "fused":
        pytest.skip("set for 88 columns")
    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--line-length", str(width), "--diff"]
    run = subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_ruff_check_finds_nothing(folder: Path) -> None:
    rules = ["--select", "E,W,F,I,UP,SIM,C4,PIE", "--line-length", "88"]
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--no-cache", *rules, str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_mypy_strict_finds_nothing(folders: Path) -> None:
    """Most of its time goes into torch: it reads all files at once, and remembers torch from run to run."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file", os.devnull]
    command += ["--cache-dir", str(ROOT / ".pytest_cache" / "d" / "mypy"), "--explicit-package-bases"]
    run = subprocess.run([*command, *ALONE], cwd=folders, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"no issues found in {len(ALONE) * len(CELLS)} source files" in run.stdout


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
        "pairs = [(name, 'eager') for name in derive.catalogue()]\n"
        "pairs += [('lstm', backend) for backend in ('fused', 'native', 'triton')]\n"
        "sys.stdout.buffer.write(''.join(codegen.emit(*pair) for pair in pairs).encode())\n"
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
    assert found[0] == found[1]
    assert found[0].startswith("".join(map(codegen.emit, derive.catalogue())).encode())


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
    layer = codegen.build("lstm", 4, 5, backend="eager")
    output, _ = layer(torch.randn(7, 3, 4))
    seen, frontier = set(), [output.grad_fn]
    while frontier:
        node = frontier.pop()
        if node is not None and node not in seen:
            seen.add(node)
            frontier += [parent for parent, _ in node.next_functions]
    products = [node for node in seen if node.name().startswith(("AddmmBackward", "MmBackward"))]
    assert len(products) == 7 + 1
