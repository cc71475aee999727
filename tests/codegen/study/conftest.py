"""Fixtures for the tests of studies."""

from pathlib import Path

import pytest

from codegen.study.storage import Storage


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage that has its tables, to be copied: making them takes a second."""
    path = tmp_path_factory.mktemp("empty") / "study.db"
    with Storage(f"sqlite:///{path}"):
        pass
    return path
