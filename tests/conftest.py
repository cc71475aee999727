"""Fixtures and settings for all tests. Nothing here imports torch: a test of `derive` alone stays fast."""

import contextlib
import difflib
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
PTB_FILES = ("ptb.train.txt", "ptb.valid.txt", "ptb.test.txt")

# One thread per process: the same sums in the same order everywhere, and pytest-xdist fills the cores.
# Read when torch or NumPy is first imported, and inherited by the subprocesses that tests start.
for _name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No deadlines and no complaint about slow generation: both measure the machine's load, not the code.
settings.register_profile(
    "ci", derandomize=True, max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("dev", max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden",
        action="store_true",
        help="rewrite the files under tests/golden with what the tests produce, instead of comparing",
    )


def pytest_configure(config: pytest.Config) -> None:
    """All processes keep their compiled kernels in one folder of pytest's cache, also from run to run.

    So each C text is compiled once.  ``make clean`` removes them; so does a week, for texts change.
    """
    if os.environ.get("CELLWRIGHT_CACHE"):
        return
    folder = ROOT / ".pytest_cache" / "d" / "compiled"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in folder.glob("*.*"):
        with contextlib.suppress(OSError):  # another process may have removed it
            if path.is_file() and time.time() - path.stat().st_mtime > 7 * 24 * 3600:
                path.unlink()
    os.environ["CELLWRIGHT_CACHE"] = str(folder)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")


def pytest_runtest_setup() -> None:
    """Back to one thread, should a test have asked for more."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)


def compare_golden(path: Path, text: str, *, update: bool) -> None:
    """Fail, with a diff, unless `path` holds exactly `text`; with `update`, make it so."""
    old = path.read_bytes().decode() if path.exists() else None
    if old == text:
        return
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode())
        return
    name = path.name
    remedy = "If the new text is right: `make golden` (or pytest --update-golden), then read the diff."
    if old is None:
        pytest.fail(f"golden file {name} does not exist: {path}\n{remedy}", pytrace=False)
    titles = (f"{name} (golden)", f"{name} (now)")
    diff = "\n".join(difflib.unified_diff(old.splitlines(), text.splitlines(), *titles, lineterm=""))
    pytest.fail(f"{path} differs.\n{diff or 'Only line endings differ.'}\n{remedy}", pytrace=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden("show/lstm.tex", text)` compares `text` with tests/golden/show/lstm.tex."""
    update = bool(request.config.getoption("--update-golden"))

    def check(relpath: str, text: str) -> None:
        path = (GOLDEN / relpath).resolve()
        if not path.is_relative_to(GOLDEN):
            raise ValueError(f"{relpath!r} leads out of tests/golden")
        compare_golden(path, text, update=update)

    return check


@pytest.fixture(scope="session")
def ptb_dir() -> Path:
    """The folder of the Penn Treebank files; the test is skipped where there is none."""
    named = os.environ.get("CELLWRIGHT_PTB")
    folder = Path(named) if named else ROOT.parent / "shared" / "ptb"
    missing = [name for name in PTB_FILES if not (folder / name).is_file()]
    if named and missing:
        pytest.fail(f"CELLWRIGHT_PTB is {named}, which lacks {', '.join(missing)}", pytrace=False)
    if missing:
        pytest.skip(f"no Penn Treebank: set CELLWRIGHT_PTB to a folder with {', '.join(PTB_FILES)}")
    return folder
