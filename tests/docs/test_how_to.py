"""The other pages, before one centre and with one worker, `press-7`, that has run the Dag of the tutorial."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow, MigratedDatabases
from harness.client import Client
from harness.database import SqliteFiles
from harness.nginx import HOW_TO_INSTALL, Nginx, find_nginx
from harness.pages import Block, all_blocks, blocks_of, pages
from harness.site import Site
from harness.waiting import wait_for
from tests.docs import stand_ins
from tests.docs.conftest import DAG, Machine
from tests.docs.reader import Reader
from tests.docs.shapes import is_shown
from tests.docs.shell import Shell

pytestmark = pytest.mark.e2e

UNINSTALL, SERVICE, PROXIES = "docs/how-to/uninstall.md", stand_ins.SERVICE, "docs/how-to/proxies.md"
OWN = ("README.md", "docs/tutorial/first-worker.md")
LAST = (UNINSTALL, SERVICE)
"""`press-7` is uninstalled, which frees its name for the one that is installed as a service."""
RUN = "first"

WAITS = """
import time
from pathlib import Path

from airflow.sdk import dag, task


@dag(schedule=None)
def waits():
    @task(queue="plc")
    def for_a_file() -> None:
        while not Path("{go}").exists():
            time.sleep(0.1)

    for_a_file()


waits()
"""
"""A Dag of the tests, whose task is there to be looked at."""


def to_read() -> list[str]:
    """All pages on which something is typed at a centre or a site, or shown of one."""
    kinds = {"sh centre", "sh site", "text message", "text processes"}
    found = [page for page in pages() if page not in OWN and any(block.kind in kinds for block in blocks_of(page))]
    return sorted(found, key=lambda page: (LAST.index(page) if page in LAST else -1, page))


@dataclass
class World:
    machine: Machine
    airflow: Airflow
    client: Client
    site: Site
    job: str

    def values(self, text: str) -> str:
        """Put the real values in the places of the examples."""
        for before, after in {**self.places, "https://airflow.example.org": self.airflow.url, "5f0c": self.job}.items():
            text = text.replace(before, after)
        return text.replace("edge_…", self.token()) if "edge_…" in text and "enroll" in text else text

    @property
    def places(self) -> dict[str, str]:
        return places_in(self.machine.folder)

    def token(self) -> str:
        return self.airflow.enroll_token(queues=["plc"])

    def ready(self) -> None:
        """Have `press-7` run, and take tasks."""
        if not self.site.is_linked():
            self.site.stop()
            self.site.start_worker()
        if "maintenance" in self.site.status()["state"]:
            self.site.cli("maintenance", "off")

    def shells(self, page: str, site: Site) -> dict[str, Shell]:
        """Give a page shells of its own."""
        name, machine = Path(page).stem, self.machine
        user, password = self.airflow.login
        answer = httpx.post(f"{self.airflow.url}/auth/token", json={"username": user, "password": password})
        common = {"HOME": str(machine.folder / "home"), "TOKEN": answer.json()["access_token"]}
        bin_ = f"{machine.folder / 'bin'}:"
        centre = self.airflow.env | common
        here = site.env | common
        return {
            "centre": Shell(
                machine.folder / f"centre-{name}", centre | {"PATH": bin_ + centre["PATH"]}, machine.folder
            ),
            "site": Shell(machine.folder / f"site-{name}", here | {"PATH": bin_ + here["PATH"]}, machine.folder),
        }


def places_in(folder: Path) -> dict[str, str]:
    places = ("/path/to", "/opt/airflow-edge", "/var/lib/airflow-edge", "/usr/bin/python3")
    return dict(
        zip(places, map(str, (folder, folder / "opt", folder / "var", folder / "bin" / "python3")), strict=True)
    )


def git(*words: str, cwd: Path) -> None:
    who = ("-c", "user.name=docs", "-c", "user.email=docs@example.org")
    subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True)


def lay_out_dags(folder: Path) -> list[str]:
    """Write the Dags of all pages into a clone, as the page about Dags has it; give their ids."""
    dags = {found["name"]: block.text for block in all_blocks() if (found := DAG.search(block.text))}
    for name, text in {**dags, "waits": WAITS.format(go=folder.parent / "go")}.items():
        (folder / f"{name}.py").write_text(text)
    git("init", "-q", "-b", "main", cwd=folder)
    git("add", ".", cwd=folder)
    git("commit", "-q", "-m", "Dags", cwd=folder)
    git("clone", "-q", "--bare", ".", "../dags.git", cwd=folder)
    git("remote", "add", "origin", "../dags.git", cwd=folder)
    git("fetch", "-q", "origin", cwd=folder)
    git("branch", "-q", "--set-upstream-to=origin/main", cwd=folder)
    return list(dags)


@pytest.fixture(scope="module")
def world(machine, stack) -> World:
    folder, venv = machine.folder, environments.centre()
    stand_ins.put_all(folder, environments.worker(), places_in(folder))
    dag_ids = lay_out_dags(folder / "dags")
    (folder / "sensor").write_text("42\n")
    (folder / "modules").mkdir()
    info = next(block.text for block in all_blocks() if "def system_info" in block.text)
    (folder / "modules" / "health.py").write_text(info.replace("/path/to", str(folder)))
    database = MigratedDatabases(SqliteFiles(folder), folder, venv=venv).create("docs")
    airflow = stack.enter_context(
        Airflow(
            folder / "airflow",
            database,
            venv=venv,
            dags=folder / "dags",
            executor=EDGE_EXECUTOR,
            config=EDGE_CONFIG,
            # What a Dag of a page asks for, which is run before its page is read.
            environment={"AIRFLOW_CONN_PLC_7": "http://localhost"},
        )
    )
    airflow.boot(triggerer=False)
    client = stack.enter_context(airflow.client())
    home = folder / "press-7" / "home"
    environment = {
        "AIRFLOW__EDGE__STATE_DIR": str(home / "edge"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__EDGE__EXTENDED_SYSTEM_INFO_FUNCTION": "health.system_info",
        "PYTHONPATH": str(folder / "modules"),
    }
    site = stack.enter_context(Site(folder / "press-7", venv=environments.worker(), environment=environment))
    site.enroll(airflow.url, airflow.enroll_token(queues=["plc"]), name="press-7")
    site.start_worker()
    client.wait_for_dags([*dag_ids, "waits"])
    names: set[str] = set()
    for dag_id in sorted(dag_ids, key=lambda dag_id: dag_id != "press_check"):
        run = client.wait_for_run(client.trigger(dag_id, run_id=RUN), check=airflow.check)
        assert run.state == "success", dag_id
        assert {task.hostname for task in client.tasks(run)} == {"press-7"}
        if not names:
            # Its folder is there once the centre has all that the task had to say.
            logs = wait_for(lambda: list((home / "edge" / "logs").iterdir()), "the log of a finished job", timeout=30)
            names = {path.name.partition(".")[0] for path in logs}
    (job,) = names
    return World(machine, airflow, client, site, job)


def test_what_runs_at_a_site_is_called_as_the_page_says(world):
    (block,) = (block for page in pages() for block in blocks_of(page) if block.kind == "text processes")
    titles = {line.rsplit("  ", 1)[-1].strip() for line in block.text.splitlines()}
    world.ready()
    run = world.client.trigger("waits", run_id=RUN)

    def running() -> set[str]:
        named = [" ".join(process.cmdline()) for process in world.site.processes()]
        found = {title for title in titles if any(title.partition("<")[0].strip() in name for name in named)}
        return found if any("supervisor" in name for name in named) else set()

    found = wait_for(running, "a job's processes", timeout=60)
    (world.machine.folder / "go").touch()
    assert found == titles
    assert world.client.wait_for_run(run, check=world.airflow.check).state == "success"


@pytest.mark.parametrize("page", [page for page in to_read() if not page.startswith("docs/reference")])
def test_page(world, page, tmp_path):
    if page == PROXIES:
        if find_nginx() is None:
            pytest.skip(HOW_TO_INSTALL)
        return behind_nginx(world, tmp_path)
    site = world.site
    if page == SERVICE:
        site = Site(world.machine.folder / "service", venv=environments.worker())
        site.env |= {"AIRFLOW_HOME": world.places["/var/lib/airflow-edge"]}
        site.env["AIRFLOW__EDGE__STATE_DIR"] = f"{site.env['AIRFLOW_HOME']}/edge"
    else:
        world.ready()
    shells = world.shells(page, site)
    if page == UNINSTALL:
        for place in ("/opt/airflow-edge", "/var/lib/airflow-edge"):
            Path(world.places[place]).mkdir()

    def before(block: Block) -> None:
        if page == SERVICE and block.heading == "By hand":
            assert shells["site"].type("systemctl stop airflow-edge")[0] == 0
        elif page == SERVICE and block.heading.startswith("Before the first start"):
            assert shells["site"].type("airflow-edge worker -D")[0] == 0
        elif page not in LAST:
            world.ready()

    try:
        Reader(shells, world.values, before).read(page)
    finally:
        for shell in shells.values():
            shell.close()


def behind_nginx(world: World, folder: Path) -> None:
    """Read the page about proxies at a site whose proxy refuses WebSockets, and for a while answers itself."""
    gone = folder / "gone"
    refusing = f"if (-f {gone}) {{ return 404; }} if ($http_upgrade) {{ return 403; }}"
    with (
        Nginx(folder / "nginx", [urlsplit(world.airflow.url).netloc], refusing) as nginx,
        Site(folder / "site", venv=environments.worker(), dags=world.machine.folder / "dags") as site,
    ):
        site.enroll(nginx.url, world.token(), name="press-8")
        site.start_worker()
        shells = world.shells(PROXIES, site)
        try:
            Reader(shells, world.values).read(PROXIES)
        finally:
            for shell in shells.values():
                shell.close()
        (message,) = (block.text for block in blocks_of(PROXIES) if block.kind == "text message")
        shown = message.replace("https://airflow.example.org", nginx.url)
        gone.touch()

        def said() -> bool:
            return is_shown(shown, str(json.loads(site.cli("status"))))

        try:
            wait_for(said, shown, timeout=60)
        except TimeoutError:
            raise AssertionError(f"{PROXIES} shows\n{shown}\nand the worker says\n{site.cli('status')}") from None
