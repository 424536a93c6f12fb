"""Keys of any characters mean the same as with LocalExecutor: what is stored, what is found, and what is refused."""

from __future__ import annotations

import pytest

from harness.airflow import EDGE_EXECUTOR
from tests.e2e.world import EXECUTOR

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(EXECUTOR != EDGE_EXECUTOR, reason="compares the edge with LocalExecutor"),
]
GOOD = ("semi;colon", "a;b/c;d", "a/b", "größe", "🙂", "%2F", "x" * 200)
"""Some that have to work: else both could fail alike."""


def test_every_key_has_the_outcome_that_it_has_with_local_executor(world):
    client = world.client
    client.wait_for_dags(["keys_edge", "keys_local"])
    runs = [world.trigger(dag_id) for dag_id in ("keys_edge", "keys_local")]
    edge, local = (client.wait_for_run(run, timeout=240, check=world.check) for run in runs)
    states = [{task.task_id: task.state for task in client.tasks(run)} for run in runs]
    assert (edge.state, local.state) == ("success", "success"), states
    assert {task.hostname for task in client.tasks(edge)} == set(world.sites)
    assert not {task.hostname for task in client.tasks(local)} & set(world.sites)
    for task_id in ("xcoms", "variables"):
        of_edge, of_local = (client.xcom(run, task_id) for run in (edge, local))
        assert of_edge == of_local
        assert {key for key, *outcomes in of_edge if repr(f"of {key}") in outcomes} >= set(GOOD)
    for key in ("temp;celsius", "a/b", "größe"):
        assert client.xcom(edge, "outputs", key=key) == client.xcom(local, "outputs", key=key)
