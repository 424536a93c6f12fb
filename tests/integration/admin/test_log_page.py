"""Airflow's own page of a task's log, as its API gives it, with our logging configuration and without any."""

from __future__ import annotations

import logging

import pytest


@pytest.fixture(params=["no logging configuration", "ours"])
def page(request, api, task, tmp_path, monkeypatch):
    """Give the texts that the API server shows for the task, with the handlers that it has then."""
    from airflow.logging_config import _ActiveLoggingConfig
    from airflow.utils.log.file_task_handler import FileTaskHandler

    from airflow_edge.logs import LOGGING_CONFIG, REMOTE_TASK_LOG
    from airflow_edge.logs.handler import EdgeTaskHandler
    from airflow_edge.plugin import EdgePlugin

    ours = request.param == "ours"
    configured = (EdgeTaskHandler if ours else FileTaskHandler)(str(tmp_path))
    configured.name = "task"
    if ours:
        assert LOGGING_CONFIG["handlers"]["task"]["class"] == f"{EdgeTaskHandler.__module__}.{EdgeTaskHandler.__name__}"
        monkeypatch.setattr(_ActiveLoggingConfig, "logging_config_loaded", True)
        monkeypatch.setattr(_ActiveLoggingConfig, "remote_task_log", REMOTE_TASK_LOG)
    monkeypatch.setattr(logging.getLogger("airflow.task"), "handlers", [configured])
    # As every API server does, before it serves anything.
    assert EdgePlugin().fastapi_apps

    def shown() -> list[str]:
        path = "/api/v2/dags/explained/dagRuns/run/taskInstances/task/logs/1"
        answer = api.client.get(path, headers=api.headers("admin"))
        assert answer.status_code == 200, answer.text
        return [line["event"] for line in answer.json()["content"]]

    return shown


def test_the_page_of_a_task_that_waits_says_why(page, task):
    task.task("scheduled", try_number=1)
    assert "It is scheduled and will be queued" in "".join(page())
    task.hand_over()
    task.task("queued", try_number=1)
    group, why, end = page()
    assert (group, end) == ("::group::Why it is not running", "::endgroup::")
    assert why.startswith("No worker is enrolled")
    worker = task.api.worker("press-7")
    task.offer(worker)
    assert "It was just handed to worker 'press-7'" in "".join(page())


def test_the_page_of_a_task_that_a_worker_has_says_where_it_is(page, task):
    worker = task.api.worker("press-7")
    task.hand_over()
    job = task.accept(worker)
    task.task("queued", try_number=1)
    assert "Worker 'press-7' accepted it at" in "".join(page())
    task.task("running", hostname="press-7")
    assert "Nothing of this log has arrived from worker 'press-7' yet" in page()
    task.log(worker, job, {"event": "pressing", "level": "info"})
    assert "pressing" in page()
    task.end(worker, job, "")
    task.task("success")
    assert "pressing" in page()


def test_a_page_is_shown_though_the_reason_cannot_be_found_out(page, task, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise ValueError("of whatever class")

    task.hand_over()
    task.task("queued", try_number=1)
    monkeypatch.setattr("airflow_edge.admin.explaining.explain_task", fail)
    assert "Why it waits could not be found out (ValueError)" in "".join(page())


def test_the_page_says_what_the_policy_denied_though_the_task_says_nothing_of_it(page, task):
    worker = task.api.worker("press-7")
    task.hand_over()
    job = task.accept(worker)
    task.task("running", hostname="press-7", try_number=1)
    task.log(worker, job, {"event": "pressing", "level": "info"})
    for more in (0, 0, 40):
        task.denied("db_password", more=more)
    shown = page()
    assert [text for text in shown if "db_password" in text] == ["It may not read variable 'db_password'."]
    assert "The centre's policy denied at least 40 more calls of this task." in shown
    assert "pressing" in shown
    task.denied("another", try_number=2)
    assert "another" not in "".join(page())
