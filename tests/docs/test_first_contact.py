"""README and tutorial, as somebody does who has neither a centre nor a site: word by word, in their order."""

from __future__ import annotations

import pytest

from harness import environments
from harness.pages import Block, blocks_of
from harness.waiting import wait_for
from tests.docs.conftest import Machine
from tests.docs.reader import Reader
from tests.docs.shell import Shell
from tests.docs.typed import typed

pytestmark = pytest.mark.e2e

TUTORIAL = "docs/tutorial/first-worker.md"
WITH_POSTGRESQL = "An Airflow with PostgreSQL"
DATABASE = "postgresql+psycopg2://airflow:airflow@localhost/airflow"


@pytest.fixture(scope="module")
def centre(machine, stack) -> Shell:
    """One for both pages: what they have people start there is the same, which takes a minute."""
    shell = machine.shell("centre")
    stack.callback(shell.close)
    return shell


def read(page: str, machine: Machine, centre: Shell, *, run: str, **options: object) -> Reader:
    """Follow a page with a site of its own. `run` is what its run is called."""
    site = f"site-{run}"
    machine.install(site, environments.worker())
    shell = machine.shell(site)

    def values(text: str) -> str:
        text = text.replace("/path/to/site", f"/path/to/{site}").replace("/path/to", str(machine.folder))
        text = text.replace("localhost:8080", f"localhost:{machine.port}")
        for before, after in options.get("values", {}).items():  # type: ignore[attr-defined]
            text = text.replace(before, after)
        return text.replace("press_check first", f"press_check {run}").replace("run-id first", f"run-id {run}")

    reader = Reader({"centre": centre, "site": shell}, values, save=machine.save)
    if centre.services:
        reader.skips = frozenset({"airflow standalone"})
    if before := options.get("before"):
        reader.before = lambda block: before(reader, block)  # type: ignore[operator]
    try:
        reader.read(page)
    finally:
        shell.close()
    return reader


def test_readme(machine, centre):
    read("README.md", machine, centre, run="first")
    for command in ("revoke-worker", "remove-remote-edge-worker"):
        status, output = centre.type(f"airflow edge {command} press-7")
        assert status == 0, output


def test_tutorial(machine, centre, stack, postgres):
    def before(reader: Reader, block: Block) -> None:
        """Have the other Airflow in shells of its own, with the settings of step 3 and a new folder."""
        if block.heading != WITH_POSTGRESQL or reader.shells["centre"] is not centre:
            return
        for service in [*centre.services]:
            centre.stop(service)
        reader.shells["centre"] = machine.shell("postgres")
        stack.callback(reader.shells["centre"].close)
        settings = next(block for block in blocks_of(TUTORIAL) if "AIRFLOW__CORE__EXECUTOR" in block.text)
        for command in typed(settings):
            text = reader.values(command.text.replace("AIRFLOW_HOME=/path/to/centre", "AIRFLOW_HOME=/path/to/postgres"))
            assert reader.shells["centre"].type(text)[0] == 0

    url = postgres.create("airflow").url
    reader = read(
        TUTORIAL, machine, centre, run="second", values={DATABASE: url, "| first ": "| second "}, before=before
    )
    checked = wait_for(lambda: right(reader.shells["centre"]), "a centre that is right", timeout=300, interval=2)
    assert "WRONG" not in checked


def right(shell: Shell) -> str:
    status, output = shell.type("airflow edge check")
    return output if status == 0 else ""
