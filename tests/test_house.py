"""The house rules: which way imports run, what may be imported at all, and what must not be in the tree."""

import ast
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = ROOT / "pyproject.toml"
PACKAGES = ("derive", "codegen")
MAX_LINES = 400

# A distribution is imported under its own name, but for these.
IMPORT_NAMES = {"z3-solver": "z3", "python-flint": "flint"}
# Comes with torch where torch can use it; only ever imported inside a function.
UNDECLARED_BUT_LAZY = {"triton"}

PROJECT = tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


def sources(package: str) -> list[Path]:
    files = sorted((ROOT / package).rglob("*.py"))
    assert files, f"no Python file under {package}/"
    return files


def absolute(node: ast.ImportFrom, path: Path) -> str:
    """The module an import statement names, with its leading dots resolved against the file it stands in."""
    if not node.level:
        return node.module or ""
    here = path.relative_to(ROOT).parent.parts
    base = here[: len(here) - node.level + 1]
    return ".".join([*base, *([node.module] if node.module else [])])


def imports(path: Path, *, top_level_only: bool = False) -> Iterator[tuple[int, str]]:
    """Line and name of all a file imports; `from a import b` and import_module("a.b") both give a.b."""
    tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
    for node in run_at_import(tree) if top_level_only else ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, alias.name) for alias in names)
            case ast.ImportFrom(names=names):
                module = absolute(node, path)
                yield from ((node.lineno, f"{module}.{alias.name}") for alias in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(name)), *_],
            ):
                yield node.lineno, name


def run_at_import(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that run when the module is imported: not the bodies of functions, not `if TYPE_CHECKING`."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        yield child
        yield from run_at_import(child)


def place(path: Path, line: int, name: str) -> str:
    return f"{path.relative_to(ROOT)}:{line} imports {name}"


def within(name: str, *modules: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for module in modules)


def test_derive_imports_neither_torch_nor_codegen() -> None:
    wrong = [
        place(path, line, name)
        for path in sources("derive")
        for line, name in imports(path)
        if within(name, "torch", "codegen")
    ]
    assert wrong == []


def test_training_imports_only_errors_and_files_from_codegen() -> None:
    wrong = [
        place(path, line, name)
        for path in sources("codegen/training")
        for line, name in imports(path)
        if within(name, "codegen") and not within(name, "codegen.errors", "codegen.files", "codegen.training")
    ]
    assert wrong == []


def test_import_reader_sees_every_form(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The two tests above are only as good as `imports`."""
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "codegen" / "training" / "loop.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import torch.nn as nn\n"
        "from .. import check\n"
        "from ..errors import Failed\n"
        "from . import data\n"
        "def f():\n"
        "    from derive import cell\n"
        "    importlib.import_module('codegen.load')\n"
    )
    names = ["torch.nn", "codegen.check", "codegen.errors.Failed", "codegen.training.data"]
    lazy = ["derive.cell", "codegen.load"]
    assert sorted(name for _, name in imports(path)) == sorted(names + lazy)
    assert sorted(name for _, name in imports(path, top_level_only=True)) == sorted(names)


def test_import_derive_loads_nothing_heavy() -> None:
    heavy = ("torch", "codegen", "matplotlib", "z3", "cvc5", "scipy", "IPython", "typer")
    code = f"import derive, sys; print(*[m for m in {heavy!r} if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def import_names(requirements: list[str]) -> set[str]:
    names = {canonicalize_name(Requirement(line).name) for line in requirements}
    return {IMPORT_NAMES.get(name, name.replace("-", "_")) for name in names}


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_are_declared(package: str) -> None:
    """A module's top imports the core dependencies alone; an extra waits inside a function."""
    core = import_names(PROJECT["dependencies"]) | set(PACKAGES) | sys.stdlib_module_names
    extras = import_names([line for lines in PROJECT["optional-dependencies"].values() for line in lines])
    wrong = []
    for path in sources(package):
        at_top = set(imports(path, top_level_only=True))
        for line, name in imports(path):
            allowed = core if (line, name) in at_top else core | extras | UNDECLARED_BUT_LAZY
            if name.split(".")[0] not in allowed:
                wrong.append(place(path, line, name))
    assert wrong == []


@pytest.mark.parametrize("package", PACKAGES)
def test_package_is_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()


def test_version_is_said_once() -> None:
    import derive

    assert getattr(derive, "__version__", PROJECT["version"]) == PROJECT["version"]


def test_every_dependency_has_a_reason() -> None:
    """Each requirement stands on a line of its own, with a comment."""
    text = PYPROJECT.read_text(encoding="utf-8")
    wanted = [*PROJECT["dependencies"], *(r for rs in PROJECT["optional-dependencies"].values() for r in rs)]
    bare = [r for r in wanted if not re.search(rf'^ *"{re.escape(r)}", +# \w', text, re.MULTILINE)]
    assert bare == []


def test_constraints_pin_what_is_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    inexact = [pin for pin in pins if not re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", pin)]
    assert inexact == []
    version = {canonicalize_name(name): number for name, number in (pin.split("==") for pin in pins)}
    wanted = [*PROJECT["dependencies"], *(r for rs in PROJECT["optional-dependencies"].values() for r in rs)]
    for requirement in map(Requirement, wanted):
        name = canonicalize_name(requirement.name)
        if name != PROJECT["name"]:
            assert name in version, f"{requirement} has no pin"
            assert version[name] in requirement.specifier, f"{requirement} is pinned at {version[name]}"


def tree() -> list[Path]:
    """What is in the repository, or would be with `git add .`."""
    if shutil.which("git") is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    return [path for name in sorted(set(listing.split("\0"))) if name and (path := ROOT / name).is_file()]


ONE_MACHINE = re.compile(
    r"(?<![\w.])/(?:work|farm|root|home|Users)/\w"  # a folder of somebody's machine
    r"|--(?:extra-)?index-url|--find[-]links|://[^\s\"')]+/simple\b"  # a package index
)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ('open("' + "/work" + '/data")', True),
        ("see " + "/root" + "/x", True),
        ("pip install --index" + "-url https://example.org", True),
        ("https://example.org" + "/simple/", True),
        ("../work/x", False),
        ("https://example.org/work/x", False),
        ("#!/usr/bin/env python3", False),
    ],
)
def test_one_machine_pattern(line: str, found: bool) -> None:
    assert bool(ONE_MACHINE.search(line)) is found


def test_nothing_of_one_machine_in_the_tree() -> None:
    wrong = []
    for path in tree():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue  # a picture, say
        found = [number for number, line in enumerate(lines, 1) if ONE_MACHINE.search(line)]
        wrong += [f"{path.relative_to(ROOT)}:{number}: {lines[number - 1].strip()}" for number in found]
    assert wrong == []


def test_no_source_file_is_a_magnet() -> None:
    golden = ROOT / "tests" / "golden"
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in tree()
        if path.suffix == ".py" and not path.is_relative_to(golden)
    }
    assert lengths
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}
