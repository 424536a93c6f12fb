"""Airflow's own example Dags, and edge3's integration Dag, end on an edge worker as they do with LocalExecutor.

Each runs once with either, in one Airflow, and all that they have left behind is compared.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from harness import environments
from harness.airflow import EDGE_CONFIG, EDGE_EXECUTOR, Airflow, MigratedDatabases
from harness.client import Client, DagRun
from harness.database import Database
from harness.site import Site
from tests.e2e.world import EXECUTOR, STARTUP

pytestmark = [
    pytest.mark.e2e,
    # A busy machine may take ten minutes for all of them.
    pytest.mark.timeout(1800),
    pytest.mark.skipif(EXECUTOR != EDGE_EXECUTOR, reason="both executors take part"),
]

RUN_TIMEOUT = 600
POLICY = Path(__file__).parent / "policy"
BOTH = ("EdgeExecutor", "LocalExecutor")

ALL = os.environ.get("EXAMPLE_DAGS") == "all"
"""`EXAMPLE_DAGS=all` runs all of them, on every Airflow (`make example-dags`)."""

VERSIONS = ("3.3", *(environments.OTHER_AIRFLOWS if ALL else ()))

LEFT_OUT = {
    "example_analytics": "needs a library that is not there",
    "example_asset_with_watchers": "deletes files in /tmp that it has not made",
    "example_branch_operator": "throws dice, and installs packages from the internet",
    "example_branch_python_operator_decorator": "throws dice, and installs packages from the internet",
    "example_dag_decorator": "asks a server on the internet",
    "example_external_task_marker_child": "waits ten minutes for a group of tasks that does not exist",
    "example_hitl_operator": "waits for a person",
    "example_python_decorator": "installs packages from the internet",
    "example_python_operator": "installs packages from the internet",
    "example_retry_policy": "asks a server on the internet, and again after minutes",
    "example_sensors": "waits for an hour, and its tasks race for a file in /tmp",
    "tutorial_objectstorage": "asks a server on the internet",
    "tutorial_taskflow_api_virtualenv": "installs packages from the internet",
}
"""All others are taken, also those that a newer Airflow has."""

LONG = ("example_complex", "example_deadline_alert", "example_task_group_decorator")
"""What takes a minute, or has many tasks."""

ALWAYS = {
    *("asset_alias_example_alias_consumer", "asset_alias_example_alias_producer", "example_bash_operator"),
    *("example_setup_teardown_taskflow", "example_simplest_dag", "example_task_mapping_second_order"),
    *("example_time_delta_sensor_async", "example_xcom"),
}
"""What runs with every change: each kind of thing once, without what takes a minute."""

INTEGRATION = "integration_test"
"""The Dag of edge3."""

STARTED = {"child_dag"}
"""Those that another one starts, which clears what has its logical date."""

READERS = {"read_asset_event", "read_asset_event_from_classic"}
"""Those that need what others have left behind."""

FAILING = {
    "example_failed_dag": "is there to fail",
    "example_passing_params_via_test_command": "has parameters that nobody gives",
    "example_task_state_store_async": "calls what Airflow 3.3 does not have",
    INTEGRATION: "makes a virtual environment with numpy, which is only there if pip or uv has kept it",
    "read_asset_event": "reads the last event, and not each has what it wants",
    "read_asset_event_from_classic": "reads the last event, and not each has what it wants",
}
"""Those that may fail, as they do with LocalExecutor: the others have to succeed, or all could fail alike."""

BY_CHANCE = {
    ("example_asset_state_store_producer", "load"),
    ("example_task_state_store", "run_job"),
    ("example_task_state_store_mapped", "process_table"),
}
"""Tasks that return random numbers."""

CONF: Mapping[str, Mapping[str, object]] = {
    INTEGRATION: {"minutes_to_run": 1},
    "example_params_ui_tutorial": {"required_field": "given by a test"},
}

OWN = re.compile(
    r"(?<![^\"' ])[^\"' ]*/(?=(site-packages|dags)\b)|manual__[0-9T:.+-]+\w*|(Edge|Local)Executor__\d+"
    r"|[0-9a-f]{8}-[0-9a-f-]{27}|(?<= at )0x[0-9a-f]+"
    r"|\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d [\d:]{8} [A-Z]+ \d{4}"
)
"""What is each run's own: folders, names of runs, ids, addresses, times."""

OF_TASK = (
    *("task_id", "map_index", "rendered_map_index", "state", "try_number", "max_tries", "queue", "pool", "operator"),
    *("region_index", "rendered_fields"),
)
OF_XCOM = ("task_id", "map_index", "region_index", "key", "value")
OF_EVENT = ("uri", "name", "source_task_id", "source_map_index", "extra")


@dataclass
class Examples:
    """An Airflow with both executors and a site; `runs` has what each Dag has run as, by Dag and executor."""

    airflow: Airflow
    client: Client
    runs: dict[tuple[str, str], DagRun] = field(default_factory=dict)

    def run(self, dag_ids: Collection[str]) -> None:
        """Run each Dag with either executor, to its end."""
        # Of two tasks that make the same asset at once, Airflow fails one.
        in_turn = [dag_id for dag_id in dag_ids if dag_id.startswith("asset")]
        for dag_id in [*in_turn, *(dag_id for dag_id in dag_ids if dag_id not in in_turn)]:
            for executor in BOTH[:1] if dag_id in in_turn else BOTH:
                self._trigger(dag_id, executor)
        for dag_id in in_turn:
            self._wait(dag_id, BOTH[0])
            self._trigger(dag_id, BOTH[1])
        for key in self.runs:
            self._wait(*key)

    def _trigger(self, dag_id: str, executor: str) -> None:
        # A Monday; no two runs of a Dag may have the same.
        date = f"2026-01-05T00:00:0{BOTH.index(executor)}Z"
        self.runs[dag_id, executor] = self.client.trigger(
            dag_id, run_id=f"{executor}__1", conf=CONF.get(dag_id), logical_date=date
        )

    def _wait(self, dag_id: str, executor: str) -> None:
        run = self.runs[dag_id, executor]
        self.runs[dag_id, executor] = self.client.wait_for_run(run, timeout=RUN_TIMEOUT, check=self.airflow.check)

    def left_by(self, run: DagRun) -> dict[str, list[str]]:
        """How a run ended: it, each of its tasks and in which try, and what they have left behind."""
        tasks, xcoms, events = self.client.left_by(run)
        for xcom in xcoms:
            if (run.dag_id, xcom["task_id"]) in BY_CHANCE:
                del xcom["value"]
            elif xcom["key"] == "skipmixin_key":
                # Airflow makes a list of a set.
                xcom["value"] = {name: sorted(tasks) for name, tasks in xcom["value"].items()}
        return {
            "run": [run.state],
            "tasks": [_chosen(task, *OF_TASK) for task in tasks],
            "XComs": [_chosen(xcom, *OF_XCOM) for xcom in xcoms],
            "events": [_chosen(event, *OF_EVENT) for event in events],
        }

    def differences(self, dag_id: str) -> dict[str, list[list[str]]]:
        """What only the edge's run has left behind, and what only LocalExecutor's."""
        edge, local = (self.left_by(self.runs[dag_id, executor]) for executor in BOTH)
        found = {}
        for what in edge:
            of_edge, of_local = Counter(edge[what]), Counter(local[what])
            if of_edge != of_local:
                found[what] = [sorted((of_edge - of_local).elements()), sorted((of_local - of_edge).elements())]
        return found

    def tasks(self, executor: str) -> tuple[set[str], Counter[str]]:
        """Where the tasks were that ran with an executor, and how many ended in each state."""
        runs = [run for (_, name), run in self.runs.items() if name == executor]
        tasks = [task for run in runs for task in self.client.tasks(run)]
        return {task.hostname for task in tasks if task.hostname}, Counter(str(task.state) for task in tasks)


def _chosen(fields: Mapping[str, Any], *names: str) -> str:
    """Write some fields down, those of their own fields in order, without what is each run's own."""
    text = json.dumps({name: fields.get(name) for name in names}, ensure_ascii=False, sort_keys=True)
    return OWN.sub("OWN", text)


@contextmanager
def open_examples(folder: Path, database: Database, venv: Path, worker_venv: Path) -> Iterator[Examples]:
    dags = folder / "dags"
    dags.mkdir()
    (of_edge3,) = environments.edge3().glob("lib/python*/site-packages/airflow/providers/edge3/example_dags")
    (dags / f"{INTEGRATION}.py").symlink_to(of_edge3 / f"{INTEGRATION}.py")
    # The machine's network is none of the tests' business.
    offline = {"PIP_NO_INDEX": "1", "UV_OFFLINE": "1"}
    with (
        Airflow(
            folder / "centre",
            database,
            venv=venv,
            dags=dags,
            executor=f"{EDGE_EXECUTOR},LocalExecutor",
            config={
                **EDGE_CONFIG,
                "core": {"load_examples": True, "parallelism": 24, "dags_are_paused_at_creation": True},
                # As `airflow edge check` advises: with fewer connections than calls at once, the API stands still.
                "database": {"sql_alchemy_max_overflow": 55},
                # Nothing runs but what is triggered.
                "scheduler": {"use_job_schedule": False, "max_dagruns_per_loop_to_schedule": 100},
            },
            environment={"PYTHONPATH": os.pathsep.join(map(str, (STARTUP, POLICY))), **offline},
        ) as airflow,
        Site(folder / "site", venv=worker_venv, dags=dags, environment=offline) as site,
    ):
        # All are there once this has ended, but those that need a provider which is not there.
        airflow.cli("dags", "reserialize", timeout=300)
        airflow.boot(dag_processor=False)
        site.enroll(airflow.url, airflow.enroll_token(), name="site")
        site.start_worker(concurrency=12)
        with airflow.client() as client:
            yield Examples(airflow, client)


@pytest.fixture(scope="module", params=VERSIONS)
def examples(request, postgres_server, tmp_path_factory):
    folder = tmp_path_factory.mktemp(f"examples-{request.param}")
    if request.param == "3.3":
        venv, worker_venv = environments.centre(), environments.worker()
    else:
        venv = worker_venv = environments.centre_of(request.param)
    databases = MigratedDatabases(postgres_server, folder, venv=venv)
    database = databases.create(f"examples_{request.param.replace('.', '_')}")
    with open_examples(folder, database, venv, worker_venv) as examples:
        rows = examples.airflow.database.rows("SELECT dag_id FROM dag WHERE NOT is_stale")
        found = {str(row["dag_id"]) for row in rows} - LEFT_OUT.keys()
        assert found >= {INTEGRATION, "example_simplest_dag", "example_bash_operator"}
        dag_ids = found if ALL else found & ALWAYS
        for dag_id in dag_ids:
            examples.client.unpause(dag_id)
        # First what takes longest.
        first = [dag_id for dag_id in (INTEGRATION, *LONG) if dag_id in dag_ids]
        examples.run([*first, *sorted(dag_ids - {*first} - STARTED - READERS)])
        examples.run(sorted(dag_ids & READERS))
        yield examples


def test_each_has_the_same_end_on_the_edge_and_with_local_executor(examples, request):
    dag_ids = [dag_id for dag_id, executor in examples.runs if executor == "EdgeExecutor"]
    found = {dag_id: examples.differences(dag_id) for dag_id in dag_ids}
    differences = {dag_id: different for dag_id, different in found.items() if different}
    hosts, states = examples.tasks("EdgeExecutor")
    figures = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    version = request.node.callspec.params["examples"]
    print(f"\nAirflow {version}: {len(dag_ids)} Dags, {len(differences)} different; {states.total()} tasks ({figures})")
    assert not differences, json.dumps(differences, indent=1, ensure_ascii=False)
    assert {dag_id for (dag_id, _), run in examples.runs.items() if run.state != "success"} <= FAILING.keys()
    assert hosts == {"site"}
    assert "site" not in examples.tasks("LocalExecutor")[0]
