"""`airflow-edge worker`, `stop` and `status` as a person types them, against a real gateway."""

from __future__ import annotations

import json
import os
import signal
import socket

import psutil
import pytest

from harness.waiting import wait_for
from tests.integration.runtime.agent import is_alive
from tests.integration.site.centre import JWT_SECRET


def ended(worker) -> tuple[int, str]:
    """Wait for a worker that cannot go on; give its status and the last line of its log."""
    status = worker.wait(30)
    return status, worker.log.read_text().splitlines()[-1]


def test_a_machine_that_is_not_enrolled_says_how_to(machine):
    # That nothing is there may pass: its disk is not mounted yet, say.
    said = machine.type("worker")
    assert said.status == 1
    assert "enroll-token create" in said.complaint
    assert "mount it" in said.complaint
    assert not machine.state_dir.exists()
    machine.state_dir.mkdir()
    assert machine.type("worker").status == 1
    (machine.state_dir / "agent.log").touch()
    said = machine.type("worker")
    assert said.status == 3
    assert "enroll-token create" in said.complaint


def test_a_key_that_others_can_read_is_not_used(enrolled):
    (enrolled.state_dir / "worker.json").chmod(0o644)
    said = enrolled.type("worker")
    assert said.status == 3
    assert "chmod 600" in said.complaint


def test_it_links_tells_its_status_and_stops(enrolled):
    worker = enrolled.start_worker("-c", "3", "--pid", "here.pid")
    enrolled.wait_linked()
    status = enrolled.status()
    assert (status["name"], status["concurrency"], status["pid"]) == (enrolled.name, 3, worker.pid)
    assert (enrolled.folder / "here.pid").read_text() == f"{worker.pid}\n"

    events = json.loads(enrolled.type("status", "--events").out)
    (welcome,) = [one for one in events if one["event"].startswith("Welcome(")]
    assert f"Rename(name='{enrolled.name}')" in welcome["commands"]
    assert [one["error"] for one in events] == [""] * len(events)

    said = enrolled.type("stop", "--wait")
    assert (said.status, said.err) == (0, "")
    assert enrolled.name in said.out
    assert worker.exit_status == 0 or worker.wait(5) == 0
    assert not (enrolled.folder / "here.pid").exists()
    said = enrolled.type("status")
    assert said.status == 10


def test_without_a_worker_status_and_stop_say_so(machine):
    for command in ("status", "stop"):
        said = machine.type(command)
        assert said.status == 10
        assert "airflow-edge worker" in said.complaint


def test_a_second_worker_in_the_same_folder_is_refused(enrolled):
    worker = enrolled.start_worker()
    enrolled.wait_linked()
    for flags in ((), ("-D",)):
        said = enrolled.type("worker", *flags)
        assert said.status == 4
        assert str(worker.pid) in said.err.splitlines()[-1]
        assert "airflow-edge stop" in said.err.splitlines()[-1]
    assert enrolled.status()["pid"] == worker.pid


def test_a_dead_workers_pid_file_does_not_count(enrolled):
    worker = enrolled.start_worker()
    enrolled.wait_linked()
    worker.kill_alone()
    assert (enrolled.state_dir / "agent.pid").exists()

    enrolled.start_worker()
    enrolled.wait_linked()


def test_in_the_background_it_has_a_log_a_pid_and_an_umask(enrolled):
    said = enrolled.type("worker", "-D", "-u", "027", "-l", "the.log", "--pid", "the.pid")
    assert (said.status, said.err) == (0, "")
    enrolled.wait_linked()
    pid = enrolled.status()["pid"]

    assert str(pid) in said.out
    assert (enrolled.folder / "the.pid").read_text() == f"{pid}\n"
    assert (enrolled.folder / "the.log").stat().st_mode & 0o777 & 0o027 == 0
    process = psutil.Process(pid)
    assert process.terminal() is None
    assert process.cwd() == str(enrolled.folder)
    assert os.getsid(pid) not in {os.getsid(0), pid}
    assert enrolled.type("stop", "--wait").status == 0
    assert not is_alive(pid)


def test_a_worker_in_the_background_that_cannot_go_on_says_so_in_its_log(centre, enrolled):
    centre.revoke(enrolled.name)
    assert enrolled.type("worker", "-D").status == 0
    log = enrolled.state_dir / "agent.log"
    wait_for(lambda: log.exists() and "revoked" in log.read_text(), "the reason in the log", timeout=30)
    wait_for(lambda: enrolled.type("status").status == 10, "the worker to end", timeout=30)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("-c", "none"), "worker_concurrency"),
        (("-u", "999"), "worker_umask"),
        (("-q", ","), "--queues"),
        (("-H", "somebody-else"), "--force"),
        (("-l", "nowhere/agent.log"), "nowhere/agent.log"),
    ],
)
def test_a_flag_that_makes_no_sense_is_named(enrolled, flags, words):
    said = enrolled.type("worker", *flags)
    assert said.status == 2
    assert words in said.complaint


def test_its_own_name_with_h_is_fine(enrolled):
    enrolled.start_worker("-H", enrolled.name)
    enrolled.wait_linked()


def test_something_else_has_status_1(enrolled):
    said = enrolled.type("worker", "--pid", "nowhere/the.pid")
    assert said.status == 1
    assert "nowhere/the.pid" in said.err.splitlines()[-1]


def test_somebody_elses_page_is_waited_out_and_named(enrolled, web_page):
    """Seen of a site whose portal answers first after a power cut: with -D nobody starts the worker again."""
    worker = enrolled.start_worker(AIRFLOW__EDGE__API_URL=web_page)
    reason = _reason(enrolled, "before the centre")
    assert web_page in reason
    assert worker.exit_status is None


def test_an_api_that_is_not_enabled_ends_it(centre, enrolled):
    status, line = ended(enrolled.start_worker(AIRFLOW__EDGE__API_URL=centre.disabled))
    assert status == 7
    assert "api_enabled" in line


def test_a_refused_certificate_is_waited_out_and_named(centre, enrolled):
    worker = enrolled.start_worker(AIRFLOW__EDGE__API_URL=centre.https)
    assert "ca_file" in _reason(enrolled, "not trusted")
    assert worker.exit_status is None


def _reason(machine, words):
    """Why there is no link, when that is said."""
    return wait_for(
        lambda: next((found for found in [machine.status()["link"].get("reason", "")] if words in found), None),
        "the reason",
        timeout=60,
    )


def test_a_revoked_worker_is_refused(centre, enrolled):
    centre.revoke(enrolled.name)
    status, line = ended(enrolled.start_worker())
    assert status == 8
    assert "revoked" in line


def test_a_worker_that_is_revoked_while_it_is_linked_ends(centre, enrolled):
    worker = enrolled.start_worker()
    enrolled.wait_linked()
    centre.revoke(enrolled.name)
    status, line = ended(worker)
    assert status == 8
    assert "revoked" in line


def test_a_wrong_clock_ends_it(enrolled):
    status, line = ended(enrolled.start_worker(**enrolled.wrong_clock(-7200)))
    assert status == 9
    assert "clock" in line


@pytest.mark.parametrize("seconds", [-7200, 7200], ids=["behind", "ahead"])
def test_over_tls_a_worker_with_a_wrong_clock_goes_by_the_centres_and_says_so(centre, enrolled, seconds):
    worker = enrolled.start_worker(
        AIRFLOW__EDGE__API_URL=centre.https, AIRFLOW__EDGE__CA_FILE=str(centre.ca_file), **enrolled.wrong_clock(seconds)
    )
    enrolled.wait_linked()
    assert abs(enrolled.status()["clock_ahead"] - seconds) <= 2
    assert "set it right" in worker.log.read_text()


def test_a_centre_that_is_away_is_waited_for(centre, enrolled):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        worker = enrolled.start_worker(AIRFLOW__EDGE__API_URL=url)
        status = wait_for(lambda: (found := enrolled.status()["link"]).get("reason") and found, "a reason", timeout=30)
    assert status["state"] == "connecting"
    assert "connection refused" in status["reason"]
    assert worker.exit_status is None
    worker.send_signal(signal.SIGTERM)
    assert worker.wait(20) == 0


def test_a_site_of_the_old_kind_enrols_itself(centre, machine):
    (machine.folder / "airflow.cfg").write_text(
        f"[edge]\napi_url = {centre.trusting}/edge_worker/v1/rpcapi\n[api_auth]\njwt_secret = {JWT_SECRET}\n"
    )
    worker = machine.start_worker("-H", "veteran", "-q", "old")
    machine.wait_linked()

    assert machine.status()["name"] == "veteran"
    assert machine.status()["queues"] == ["old"]
    assert "shared secret" in worker.log.read_text()
    stored = json.loads((machine.state_dir / "worker.json").read_text())
    assert JWT_SECRET not in stored.values()


def test_a_site_of_the_old_kind_is_told_what_to_do_where_it_may_not(centre, machine):
    status, line = ended(
        machine.start_worker(
            "-H", "veteran-2", AIRFLOW__EDGE__API_URL=centre.http, AIRFLOW__API_AUTH__JWT_SECRET=JWT_SECRET
        )
    )
    assert status == 8
    assert "enroll-token" in line
