"""`airflow-edge check` as a person types it, before there is a worker and while one runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from airflow_edge.protocol import urls
from harness.middlebox import Interference, Message, Middlebox, Moment, page
from tests.integration.site.machine import Machine, Said


def marks(said: Said) -> dict[str, list[str]]:
    """What was found, by how good it is."""
    found: dict[str, list[str]] = {"OK": [], "NOTE": [], "WRONG": []}
    for line in said.out.splitlines():
        mark, _, text = line.partition(" ")
        found[mark].append(text.strip())
    return found


def some(texts: list[str], words: str) -> str:
    (text,) = [text for text in texts if words in text]
    return text


def test_a_site_that_is_right_is_right_in_all_that_a_start_needs(centre, enrolled):
    said = enrolled.type("check", "--output", "json")
    assert (said.status, said.err) == (0, "")
    found = [(finding["mark"], finding["text"]) for finding in json.loads(said.out)]
    right = [text for mark, text in found if mark == "OK"]
    assert all(mark in {"OK", "NOTE"} for mark, _ in found)
    for words in (
        "apache-airflow-task-sdk",
        "can be written",
        "files that may hold Dags",
        f"enrolled as '{enrolled.name}'",
        "without a proxy",
        "the centre answers",
        "the clocks of site and centre agree",
        "WebSockets get through, and the centre lets this worker in",
        "the runtime starts, with Airflow",
        "processes for tasks are to be had",
        "no worker runs in",
    ):
        some(right, words)


def test_all_that_is_wrong_is_named_at_once_and_nothing_is_changed_by_looking(machine: Machine, web_page: str):
    (machine.folder / "airflow.cfg").write_text(
        "[core]\nfernet_key = secret\n[logging]\nlogging_config_class = nonsense.LOGGING\n"
    )
    dags = machine.folder / "no dags"
    before = sorted(machine.folder.iterdir())
    said = machine.type("check", "--url", web_page, AIRFLOW__CORE__DAGS_FOLDER=str(dags))
    assert (said.status, said.err) == (1, "")
    found = marks(said)
    some(found["WRONG"], f"the Dags folder {dags} is not there")
    assert web_page in some(found["WRONG"], "the centre cannot be used; ")
    assert "nonsense" in some(found["WRONG"], "no task can run; Airflow's settings cannot be loaded")
    some(found["NOTE"], f"[core] fernet_key in {machine.folder / 'airflow.cfg'}")
    some(found["NOTE"], "not enrolled yet: airflow-edge enroll")
    assert "secret " not in said.out
    assert sorted(machine.folder.iterdir()) == before


def test_a_password_of_a_proxy_is_not_shown(enrolled):
    said = enrolled.type("check", "--skip-runtime", HTTP_PROXY="http://user:hush@127.0.0.1:9", NO_PROXY="")
    assert said.status == 1
    assert "by the proxy http://127.0.0.1:9" in said.out
    assert "hush" not in said.out + said.err


@pytest.mark.parametrize("command", ["check", "worker"])
def test_a_worker_that_was_revoked_is_told_so_and_what_it_is_told_to_type_works(centre, enrolled, command):
    centre.revoke(enrolled.name)
    said = enrolled.type(command, *(["--skip-runtime"] if command == "check" else []))
    assert said.status == (1 if command == "check" else 8)
    told = some(marks(said)["WRONG"], "does not let this worker in") if command == "check" else said.complaint
    words = told.partition("enrol it anew: airflow-edge ")[2].partition(";")[0].split()
    typed = {"URL": centre.http, "TOKEN": centre.token()}
    # The host is that of all workers of these tests.
    again = enrolled.type(*(typed.get(word, word) for word in words), "--name", enrolled.name)
    assert (again.status, again.err) == (0, "")
    assert enrolled.type("check", "--skip-runtime").status == 0


@pytest.mark.parametrize("polling", [True, False], ids=["long polling gets through", "nor does long polling"])
def test_where_websockets_are_blocked_long_polling_is_tried(centre, enrolled, polling: bool):
    def decide(request: Message) -> Interference | None:
        blocked = [urls.LINK] if polling else [urls.LINK, urls.POLL]
        return Interference(Moment.BEFORE, page(403)) if request.path.endswith(tuple(blocked)) else None

    with Middlebox(centre.http) as box:
        box.interfere(decide)
        found = marks(said := enrolled.type("check", "--skip-runtime", "--url", box.url))
    assert said.status == (0 if polling else 1)
    if polling:
        assert "the link goes by long polling, which gets through" in some(found["NOTE"], "WebSockets do not get")
    else:
        some(found["WRONG"], "nor does long polling")


def test_versions_are_compared_with_the_centres_and_what_matters_is_said(centre, enrolled):
    said = enrolled.type("check", "--skip-runtime", "--url", centre.strict)
    assert said.status == 1
    found = marks(said)
    assert "minimum_worker_version" in some(found["WRONG"], "gives a worker with these versions no tasks")
    some(found["NOTE"], "what Airflow 3.1.0 does not know yet")
    some(found["OK"], "with airflow-edge 99.0 and Airflow 3.1.0")


def test_a_file_of_another_user_in_the_state_folder_is_named(centre, enrolled):
    file = enrolled.state_dir / "journal.sqlite"
    file.touch()
    if os.geteuid():
        pytest.skip("only root may give a file away")
    os.chown(file, 65534, 65534)
    some(marks(enrolled.type("check", "--skip-runtime"))["NOTE"], "journal.sqlite")


def test_a_running_worker_is_left_alone_and_what_it_says_is_passed_on(centre, enrolled, tmp_path: Path):
    worker = enrolled.start_worker(AIRFLOW__CORE__DAGS_FOLDER=str(tmp_path / "gone"))
    worker.wait_ready(lambda: "no new jobs: no task can run here" in worker.log.read_text(), timeout=60)
    said = enrolled.type("check", "--skip-runtime")
    assert said.status == 1
    assert "the Dags folder" in some(marks(said)["WRONG"], "runs in")
    assert "another worker" not in worker.log.read_text()


def test_a_policy_that_was_set_while_the_worker_runs_is_not_in_force(centre, enrolled, tmp_path: Path):
    policy = tmp_path / "policy.toml"
    policy.write_text('queues = ["plc"]')
    policy.chmod(0o644)
    worker = enrolled.start_worker()
    worker.wait_ready(lambda: "linked" in worker.log.read_text(), timeout=60)
    cfg = enrolled.folder / "airflow.cfg"
    cfg.write_text(f"[edge]\nsite_policy = {policy}\n")
    found = marks(said := enrolled.type("check", "--skip-runtime"))
    assert said.status == 1
    some(found["NOTE"], f"once the worker is restarted: the site policy {policy}: queues plc")
    wrong = some(found["WRONG"], "[edge] site_policy is")
    assert f"'{policy}' here, and for the running worker it is not set; restart it" in wrong
    # Nor is one that is misspelt, and with it none starts.
    cfg.write_text(f"[edge]\nsite_polcy = {policy}\n")
    some(marks(enrolled.type("check", "--skip-runtime"))["WRONG"], "did you mean 'site_policy' in [edge]?")
    assert "did you mean 'site_policy' in [edge]?" in enrolled.type("worker").complaint
