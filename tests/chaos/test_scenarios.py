"""What happens when …: one test for each failure, on a centre with two API servers and two sites."""

from __future__ import annotations

import subprocess
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from harness.disk import CAN_MOUNT, fill, small_disk
from harness.faults import Direction
from harness.processes import ProcessFailedError
from harness.site import Site
from harness.waiting import wait_for
from tests.chaos.deployment import Place
from tests.chaos.stage import ANYWHERE, GRACE, OUTAGE, START_TIMEOUT

pytestmark = pytest.mark.chaos

SOON = 10.0
"""Seconds in which a site is back at work after the centre is; on a machine that has nothing else to do."""
REQUEUED = 15.0
"""Seconds in which a job whose offer was not answered is offered again."""

needs_root = pytest.mark.skipif(not CAN_MOUNT, reason="only root may mount what this needs")


@pytest.mark.parametrize("kind", ["refused", "black hole"])
def test_an_outage_during_a_running_task_and_across_its_end(stage, kind):
    place = stage.place("site-1")
    goes_on = stage.work_at("site-1", seconds=OUTAGE + 20, lines=20)
    ends_meanwhile = stage.work_at("site-1", seconds=OUTAGE / 3, lines=20)
    goes_on.waits_for("start")
    ends_meanwhile.waits_for("start")
    cut_off(place, kind)
    over = time.monotonic() + OUTAGE
    ends_meanwhile.waits_for("end", timeout=OUTAGE)
    time.sleep(max(0.0, over - time.monotonic()))
    assert ends_meanwhile.task().state == goes_on.task().state == "running"

    place.proxy.restore()
    assert ends_meanwhile.succeeds() <= SOON
    goes_on.succeeds()
    for work in (ends_meanwhile, goes_on):
        work.is_well()


def test_a_worker_out_of_reach_is_shown_as_unknown(stage):
    cut_off(stage.place("site-1"), "black hole")
    query = "SELECT state FROM airflow_edge_worker WHERE name = 'site-1'"
    wait_for(lambda: stage.deployment.airflow.database.value(query) == "unknown", "that to be seen", timeout=20)


def test_somebody_else_answers_during_tasks(stage):
    place = stage.place("site-1")
    works = [stage.work_at("site-1", seconds=8, lines=20) for _ in range(2)]
    works[0].waits_for("start")
    place.let_others_answer(1.0)
    try:
        works[0].waits_for("end")
        # A link that stands asks for nothing more.
        wait_for(partial(_answered_often, place), "others to have answered often", timeout=120, interval=2)
    finally:
        place.let_the_centre_answer()
    for work in works:
        work.succeeds()
        work.is_well()


def test_the_agent_dies_during_a_task(stage):
    site = stage.place("site-1").site
    work = stage.work_at("site-1", seconds=10, lines=100)
    start = work.waits_for("start")
    site.crash()
    began = time.monotonic()
    site.start_worker()
    assert time.monotonic() - began <= SOON
    work.succeeds()
    assert work.waits_for("end").pid == start.pid
    work.is_well()


def test_the_agent_is_away_when_a_task_ends(stage):
    site = stage.place("site-1").site
    work = stage.work_at("site-1", seconds=5, lines=100)
    work.waits_for("start")
    site.crash()
    work.waits_for("end")
    site.start_worker()
    work.succeeds(timeout=SOON)
    work.is_well()


def test_the_runtime_dies_during_a_task(stage):
    place = stage.place("site-1")
    work = stage.work_at("site-1", seconds=40)
    work.waits_for("start")
    place.kill_runtime()
    # It lives on, and others can start meanwhile.
    another = stage.work_at("site-1")
    another.waits_for("start", timeout=REQUEUED)
    assert not work.entries("end")
    work.succeeds(timeout=2 * START_TIMEOUT)
    for each in (work, another):
        each.is_well()


def test_the_acceptance_is_lost(stage):
    place = stage.place("site-1")
    place.proxy.block(Direction.UP)
    work = stage.work_at("site-1", seconds=1)
    wait_for_job_at(place)
    place.proxy.reset()
    place.proxy.restore()
    work.succeeds(timeout=REQUEUED + SOON)
    work.is_well()


def test_the_agent_dies_with_an_offer_that_nobody_heard_it_accept(stage):
    place = stage.place("site-1")
    place.proxy.block(Direction.UP)
    work = stage.work_at("site-1", seconds=1)
    wait_for_job_at(place)
    place.site.crash()
    place.proxy.reset()
    place.proxy.restore()
    place.site.start_worker()
    work.succeeds(timeout=REQUEUED + SOON)
    work.is_well()


def test_the_acceptance_comes_too_late(stage):
    place, elsewhere = stage.place("site-1"), stage.place("site-2")
    cut_off(elsewhere, "refused")
    place.proxy.block(Direction.UP)
    work = stage.work_at(ANYWHERE, seconds=1)
    wait_for_job_at(place)
    elsewhere.proxy.restore()
    work.succeeds(timeout=2 * REQUEUED + SOON)
    assert {entry.worker for entry in work.entries("start")} == {"site-2"}

    place.proxy.restore()
    wait_for(lambda: not place.site.status()["jobs"], "site-1 to drop the job", timeout=REQUEUED)
    work.is_well()


def test_the_offer_is_lost(stage):
    place = stage.place("site-1")
    place.proxy.block(Direction.DOWN)
    work = stage.work_at("site-1", seconds=1)
    work.waits_for_job("leased")
    place.proxy.reset()
    place.proxy.restore()
    work.succeeds(timeout=REQUEUED + SOON)
    work.is_well()


@pytest.mark.parametrize("crash", [False, True], ids=["restarted", "crashed"])
def test_the_database_is_restarted_during_a_task(stage, crash):
    work = stage.work_at("site-1", seconds=10, lines=100)
    work.waits_for("start")
    stage.deployment.postgres.restart(crash=crash)
    work.waits_for("end")
    stage.restart_centre("")
    work.succeeds()
    work.is_well()


def test_the_database_is_away_when_a_task_ends(stage):
    work = stage.work_at("site-1", seconds=5)
    work.waits_for("start")
    stage.deployment.postgres.stop()
    work.waits_for("end")
    time.sleep(5)
    stage.deployment.postgres.start()
    stage.restart_centre("")
    work.succeeds()
    work.is_well()


@pytest.mark.parametrize("how_many", ["one", "all"])
def test_api_servers_die_during_a_task_and_are_back_after_its_end(stage, how_many):
    work = stage.work_at("site-1", seconds=5, lines=100)
    work.waits_for("start")
    for process in stage.deployment.components("api-server")[: 1 if how_many == "one" else None]:
        process.kill()
    work.waits_for("end")
    stage.restart_centre("api-server")
    work.succeeds(timeout=2 * SOON)
    work.is_well()


def test_the_scheduler_dies_during_a_task(stage):
    work = stage.work_at("site-1", seconds=5)
    work.waits_for("start")
    for process in stage.deployment.components("scheduler"):
        process.kill()
    work.waits_for("end")
    stage.restart_centre("scheduler")
    work.succeeds()
    work.is_well()


def test_the_grace_runs_out(stage):
    place = stage.place("site-1")
    cut_off(stage.place("site-2"), "refused")
    work = stage.work_at(ANYWHERE, seconds=2 * GRACE)
    work.waits_for("start")
    cut_off(place, "black hole")
    stage.place("site-2").proxy.restore()
    job = work.waits_for_job("lost", timeout=GRACE + 30)
    assert (job["ended_at"] - job["started_at"]).total_seconds() >= GRACE
    # It still runs where nobody can reach it; that is the price of an answer within the grace.
    assert work.waits_for("start", number=2).worker == "site-2"

    place.proxy.restore()
    wait_for(lambda: not place.supervisors(), "site-1 to end the task", timeout=SOON + 20)
    assert {entry.worker for entry in work.entries("end")} <= {"site-2"}


def test_a_copy_of_the_state_folder_is_started_during_a_task(stage):
    place = stage.place("site-1")
    work = stage.work_at("site-1", seconds=20)
    work.waits_for("start")
    copy = place.start_copy()
    try:
        wait_for(lambda: state_of_link(copy) == "refused", "the copy to be refused", timeout=START_TIMEOUT)
        assert place.site.is_linked()
        work.succeeds()
        work.is_well()
        assert state_of_link(copy) == "refused"
        place.site.stop(drain=True)
        wait_for(copy.is_linked, "the copy to take over", timeout=START_TIMEOUT)
        moved = stage.work_at("site-1", seconds=1)
        moved.succeeds()
        moved.is_well()
        copy.stop(drain=True)
        place.site.start_worker()
    finally:
        copy.close()


@needs_root
def test_the_machine_reboots_during_a_task(stage, tmp_path):
    place = stage.place("site-1")
    work = stage.work_at("site-1", seconds=15)
    work.waits_for("start")
    place.cut_power()
    with another_boot_id(place, tmp_path):
        place.site.start_worker()
        work.waits_for("start", number=2, timeout=3 * SOON)
        work.succeeds(tries=(2,))
        work.is_well()
        place.site.stop()


@needs_root
def test_the_disk_is_full(stage):
    place = stage.place("site-1")
    with disk_of_its_own(place) as disk:
        goes_on = stage.work_at("site-1", seconds=20, lines=20)
        goes_on.waits_for("start")
        filler = fill(disk)
        wait_for(lambda: place.site.status()["conditions"], "the worker to say why", timeout=START_TIMEOUT)
        waits = stage.work_at("site-1", seconds=1)
        goes_on.succeeds()
        assert not waits.entries("start")
        filler.unlink()
        waits.succeeds()
        for work in (goes_on, waits):
            # What a task prints while its disk is full has nowhere to go.
            work.is_well(but=["not in its log"])
        place.site.stop(drain=True)


def _answered_often(place: Place) -> bool:
    place.proxy.reset()
    return sum(len(box.interfered) for box in place.boxes.values()) >= 10


def state_of_link(site: Site) -> str:
    """Give it as the site tells it; nothing as long as no worker answers there."""
    try:
        return str(site.status()["link"]["state"])
    except ProcessFailedError:
        return ""


def cut_off(place: Place, kind: str) -> None:
    if kind == "black hole":
        place.proxy.block()
    else:
        place.proxy.refuse()
        place.proxy.reset()


def wait_for_job_at(place: Place) -> None:
    """Wait until a job has reached the site."""
    wait_for(lambda: place.site.status()["jobs"], f"a job at {place.name}", timeout=SOON, interval=0.2)


@contextmanager
def disk_of_its_own(place: Place):
    """Have the site's state on a disk of a few megabytes."""
    place.site.stop(drain=True)
    state = place.site.state_dir
    whole = state.with_name("state-on-a-large-disk")
    state.rename(whole)
    place.site.env["AIRFLOW__EDGE__MIN_FREE_DISK"] = "1"
    try:
        with small_disk(state):
            subprocess.run(["cp", "-a", f"{whole}/.", state], check=True)
            place.site.start_worker()
            yield state
            # The key and the journal: what this worker is, and what it has promised.
            subprocess.run(["cp", "-a", f"{state}/.", whole], check=True)
    finally:
        place.site.close()
        del place.site.env["AIRFLOW__EDGE__MIN_FREE_DISK"]
        state.rmdir()
        whole.rename(state)


@contextmanager
def another_boot_id(place: Place, folder: Path):
    """Have the site's programs see another boot id, as after a reboot."""
    boot_id = folder / "boot_id"
    boot_id.write_text("00000000-0000-4000-8000-000000000000\n")
    program = folder / "bin" / "airflow-edge"
    program.parent.mkdir()
    mount = f"mount --bind {boot_id} /proc/sys/kernel/random/boot_id"
    program.write_text(
        f'#!/bin/sh\nexec unshare -m sh -c \'{mount} && exec "$0" "$@"\' {place.site.venv}/bin/airflow-edge "$@"\n'
    )
    program.chmod(0o755)
    venv, place.site.venv = place.site.venv, folder
    try:
        yield
    finally:
        place.site.venv = venv
