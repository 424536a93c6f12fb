"""A task whose log finds no room on the site's disk, with Airflow's real supervisor."""

from __future__ import annotations

import pytest

from airflow_edge.protocol.local import JobExited
from harness.disk import CAN_MOUNT, fill, small_disk
from harness.waiting import wait_for

pytestmark = pytest.mark.skipif(not CAN_MOUNT, reason="only root may mount a small disk")


@pytest.mark.parametrize("room_again", [True, False])
def test_a_task_goes_on_to_its_end_and_its_outcome_is_written(agent, api, tmp_path, room_again):
    with small_disk(tmp_path / "disk") as disk:
        job = agent.task("talk", api.path, jobs=disk)
        agent.connection.send(job.start)
        wait_for((agent.folder / "talks").exists, "the task to begin", timeout=60)
        filler = fill(disk)
        (agent.folder / "full").touch()
        wait_for((agent.folder / "talked").exists, "the task to talk on", timeout=30)
        if room_again:
            filler.unlink()
        (agent.folder / "go on").touch()
        ended = agent.connection.expect(JobExited, job=job)

        assert (ended.exit_code, ended.signal) == (0, None)
        assert (job.outcome.exit_code, job.outcome.reason) == (0, "")
        (state,) = api.of("PATCH", "/state")
        assert state.body["state"] == "success"
        lines = (job.folder / "task.log").read_text()
        assert '"before"' in lines
        if room_again:
            assert '"after"' in lines
            (said,) = [line["event"] for line in job.log if line.get("logger") == "airflow_edge"]
            assert "No space left on device" in said
            assert "state_dir" in said
