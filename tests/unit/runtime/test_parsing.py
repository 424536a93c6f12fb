from __future__ import annotations

from types import SimpleNamespace

import pytest
from airflow.sdk.api.client import getuser
from airflow.sdk.execution_time import task_runner

from airflow_edge.protocol.local import SiteTerms
from airflow_edge.runtime.parsing import let_run_as

TERMS = SiteTerms(policy="/etc/policy.toml", users=("report", "press-*"))
REFUSED = "This task is refused by its owner's site policy (/etc/policy.toml on that machine): user '{}' is none of its"


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.error = self.errors.append


def parsed(monkeypatch: pytest.MonkeyPatch, task: object, log: Log) -> object:
    """What becomes of a task that Airflow has found in its Dag."""
    ti = SimpleNamespace(task=task)
    monkeypatch.setattr(task_runner, "parse", lambda what, log: ti)
    let_run_as(TERMS)
    assert task_runner.parse("what", log) is ti
    return ti


@pytest.mark.parametrize("name", ["report", "press-7", None, "", getuser()])
def test_as_whom_the_owner_names_and_as_itself_a_task_may_be_run(monkeypatch, name):
    log = Log()
    parsed(monkeypatch, SimpleNamespace(run_as_user=name), log)
    assert log.errors == []


def test_as_anybody_else_it_ends_before_it_is_that_user(monkeypatch):
    log = Log()
    with pytest.raises(SystemExit, match="1"):
        parsed(monkeypatch, SimpleNamespace(run_as_user="backup"), log)
    [error] = log.errors
    assert error.startswith(REFUSED.format("backup"))


def test_the_user_of_all_tasks_counts_where_a_task_names_none(monkeypatch):
    monkeypatch.setenv("AIRFLOW__CORE__DEFAULT_IMPERSONATION", "backup")
    log = Log()
    with pytest.raises(SystemExit):
        parsed(monkeypatch, SimpleNamespace(), log)
    assert log.errors[0].startswith(REFUSED.format("backup"))
    parsed(monkeypatch, SimpleNamespace(run_as_user="report"), log)
    assert len(log.errors) == 1
