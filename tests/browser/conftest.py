from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from typing import Any

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from harness.airflow import MigratedDatabases
from harness.browser import HOW_TO_INSTALL, chromium, launched
from harness.database import SqliteFiles
from tests.browser.window import PATIENCE, Window, window
from tests.browser.world import PATIENT, VERSIONS, Centre, centre_of, open_centre

expect.set_options(timeout=PATIENCE)

OpenWindow = Callable[..., Window]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip(HOW_TO_INSTALL)
    with sync_playwright() as playwright, launched(playwright) as browser:
        yield browser


@pytest.fixture(scope="package")
def databases(tmp_path_factory) -> Callable[[str], MigratedDatabases]:
    """Makes databases for an Airflow of a version, with its tables in them."""

    @cache
    def of(version: str) -> MigratedDatabases:
        folder = tmp_path_factory.mktemp(f"databases-{version}")
        return MigratedDatabases(SqliteFiles(folder), folder, venv=centre_of(version))

    return of


@pytest.fixture(scope="package", params=[f"Airflow {version}" for version in VERSIONS])
def centre(request, browser, databases, tmp_path_factory) -> Iterator[Centre]:
    """An Airflow with a worker at a press, kept for all tests that only need one of each."""
    version = request.param.removeprefix("Airflow ")
    folder = tmp_path_factory.mktemp(f"airflow-{version}")
    with open_centre(folder, databases(version).create("runs"), version) as centre, centre.site("press-7"):
        yield centre


@pytest.fixture
def below_a_path(centre) -> Iterator[Centre]:
    """The same, by one more API server whose address has a path, as some have it behind a proxy."""
    with centre.below("/team/airflow") as other:
        yield other


@pytest.fixture(scope="package")
def prepared(browser, databases, tmp_path_factory) -> Iterator[Centre]:
    """An API server alone, below a path, whose workers and jobs are only written down."""
    folder = tmp_path_factory.mktemp("prepared")
    with open_centre(folder, databases("3.3").create("prepared"), "3.3", runs=False, settings=PATIENT) as centre:
        yield centre


@pytest.fixture
def open_window(browser, tmp_path) -> Iterator[OpenWindow]:
    """Opens windows of a centre; whatever goes wrong in one fails the test."""
    with ExitStack() as stack:

        def open_one(centre: Centre, username: str = "admin", **options: Any) -> Window:
            password = centre.airflow.password
            shown = window(browser, centre.url, tmp_path, username=username, password=password, **options)
            return stack.enter_context(shown)

        yield open_one
