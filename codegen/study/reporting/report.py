"""The report of a study: one HTML page that needs no other file, and two CSV files beside it."""

from __future__ import annotations

from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

from codegen.errors import ConfigError
from codegen.files import write_atomic
from codegen.study.reporting import contents, tables
from codegen.study.reporting.answers import answers
from codegen.study.reporting.csv_export import epochs_csv, trials_csv
from codegen.study.results import Results

PAGE, TRIALS, EPOCHS = "report.html", "trials.csv", "epochs.csv"


def require_packages() -> None:
    """Complain of a missing package before the training, not after it.

    Raises:
        ConfigError: SciPy, matplotlib or Jinja is not installed.
    """
    missing = [package for package in ("scipy", "matplotlib", "jinja2") if find_spec(package) is None]
    if missing:
        raise ConfigError(
            f"the report of a study needs {', '.join(missing)}: pip install 'cellwright[study]'"
        )


def write_report(results: Results, directory: Path) -> Path:
    """Write report.html, trials.csv and epochs.csv, each whole or not at all; the path of the page.

    Raises:
        ConfigError: SciPy, matplotlib or Jinja is not installed.
        OSError: the folder cannot be written to.
    """
    page = report_html(results)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomic(directory / TRIALS, trials_csv(results).encode())
    write_atomic(directory / EPOCHS, epochs_csv(results).encode())
    write_atomic(directory / PAGE, page.encode())
    return directory / PAGE


def report_html(results: Results) -> str:
    """The page: the same bytes for the same results."""
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise ConfigError(
            "the page of a study needs Jinja, which is not installed: pip install 'cellwright[report]'"
        ) from error
    environment = Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    source = files("codegen.study.reporting").joinpath("report.html.j2").read_text(encoding="utf-8")
    page = environment.from_string(source).render(
        title=results.protocol.title,
        note=results.protocol.note,
        warnings=contents.warnings(results),
        answers=answers(results),
        protocol=contents.protocol_facts(results),
        origin=contents.origin_facts(results),
        parts=contents.parts(results),
        trials=tables.trials(results),
        text_columns=tables.TEXT_COLUMNS,
    )
    return f"{page}\n"
