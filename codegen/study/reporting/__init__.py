"""A study's results for people: statistics in words, tables, pictures, one page and two CSV files."""

from codegen.study.reporting.report import require_packages, write_report
from codegen.study.reporting.tables import summary_table

__all__ = ["require_packages", "summary_table", "write_report"]
