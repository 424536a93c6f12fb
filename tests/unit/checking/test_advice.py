from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from airflow_edge.checking.advice import Facts, GatewayAnswer, PageAnswer, findings
from airflow_edge.checking.findings import Finding, Mark, is_right, without_secrets
from airflow_edge.rules.processes import CentreFacts, CentreProcess, at_the_centre
from airflow_edge.settings.unread import Unread
from airflow_edge.store.schema import Schema

PAGE = "https://airflow.example.org/edge_worker/page"
NOW = datetime(2026, 3, 4, tzinfo=UTC)


def scheduler(version="1.0") -> CentreProcess:
    return CentreProcess(
        id=uuid4(),
        kind="scheduler",
        host="vm",
        pid=7,
        version=version,
        executors="",
        started_at=NOW,
        seen_at=NOW,
    )


def centre(*processes: CentreProcess) -> CentreFacts:
    return at_the_centre(processes, NOW)


def facts(**changes) -> Facts:
    return Facts(
        **{
            "edge_version": "1.0",
            "airflow_version": "3.3.2",
            "edge3_installed": False,
            "api_enabled": True,
            "wrong_settings": (),
            "executors": ("airflow_edge.executor.EdgeExecutor",),
            "executor_errors": (),
            "logging_config_class": "airflow_edge.logs.LOGGING_CONFIG",
            "remote_log_is_ours": True,
            "handler_is_ours": True,
            "tables": Schema.CURRENT,
            "database_error": "",
            "database": "postgresql",
            "notified": True,
            "schedulers": ("vm",),
            "centre": centre(scheduler()),
            "pool": 40,
            "base_url": "https://airflow.example.org",
            "gateway": GatewayAnswer(outcome="healthy", version="1.0"),
            "is_another": False,
            "page": PageAnswer(outcome="shown", url=f"{PAGE}/edge-12345678.js"),
            "workers": 1,
            "log_store": None,
            "log_store_error": "",
            **changes,
        }
    )


def test_a_centre_that_is_right_gets_nothing_but_ok():
    found = findings(facts(log_store="s3://logs"))
    assert {finding.mark for finding in found} == {Mark.OK}
    assert is_right(found)


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"fernet": False}, "no [core] fernet_key"), ({"centre_key_error": "the centre's key cannot be read"}, "be read")],
)
def test_a_centre_key_that_lies_open_or_cannot_be_read_is_said(changes, words):
    (found,) = [finding for finding in findings(facts(**changes)) if finding.mark is not Mark.OK]
    assert words in found.text


def test_how_far_a_mysql_was_tried_is_a_note():
    found = findings(facts(database="mysql", notified=None))
    (note,) = [finding for finding in found if finding.mark is not Mark.OK]
    assert note.mark is Mark.NOTE
    assert "MariaDB" in note.text
    assert "dispatch_poll_interval" in note.text
    assert is_right(found)


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"airflow_version": "3.1.8"}, "Airflow 3.2 is the oldest supported"),
        ({"edge3_installed": True}, "pip uninstall apache-airflow-providers-edge3"),
        ({"tables": Schema.MISSING}, "airflow db migrate"),
        ({"tables": Schema.OTHER}, "airflow db migrate"),
        ({"tables": Schema.OLDER}, "airflow db migrate"),
        ({"tables": None, "database_error": "look at [database] sql_alchemy_conn"}, "sql_alchemy_conn"),
        ({"wrong_settings": ("[edge] offer_timeout: 'nan' is not a number",)}, "[edge] offer_timeout"),
        ({"centre": centre()}, "no running scheduler has loaded EdgeExecutor"),
        ({"centre": centre(scheduler("0.9"))}, "restart the scheduler"),
        ({"api_enabled": False}, "set [edge] api_enabled = True"),
        ({"executor_errors": ("a.b.C cannot be loaded (ImportError)",)}, "a.b.C cannot be loaded"),
        ({"executors": ("airflow.executors.local_executor.LocalExecutor",)}, "airflow_edge.executor.EdgeExecutor"),
        ({"remote_log_is_ours": False, "handler_is_ours": False}, "airflow_edge.logs.LOGGING_CONFIG"),
        ({"log_store": "s3://logs", "log_store_error": "no such bucket"}, "no such bucket"),
        ({"gateway": None, "base_url": ""}, "[api] base_url"),
        ({"gateway": GatewayAnswer(outcome="healthy", version="0.9")}, "restart the API server"),
        ({"is_another": True}, "another Airflow's: it has another database"),
        ({"gateway": GatewayAnswer(outcome="disabled")}, "set [edge] api_enabled = True"),
        ({"gateway": GatewayAnswer(outcome="not ready", detail="the tables are missing")}, "the tables are missing"),
        ({"gateway": GatewayAnswer(outcome="something else", detail="status 200: <html>")}, "airflow-edge[server]"),
        ({"page": PageAnswer(outcome="another build", url=f"{PAGE}/edge-12345678.js")}, "restart the API server"),
        ({"page": PageAnswer(outcome="no module", url=PAGE, detail="text/html")}, "everything below /edge_worker/page"),
        ({"page": PageAnswer(outcome="no module", url=PAGE, detail="text/plain")}, "comes as text/plain"),
        ({"page": PageAnswer(outcome="changed", url=PAGE)}, "unchanged and empty its cache"),
        ({"page": PageAnswer(outcome="cut", url=PAGE, detail="status 403")}, "gives status 403"),
    ],
)
def test_what_is_wrong_is_said_with_what_to_do(changes, advice):
    found = findings(facts(**changes))
    (wrong,) = [finding for finding in found if finding.mark is Mark.WRONG]
    assert advice in wrong.text
    assert not is_right(found)


@pytest.mark.parametrize(
    ("changes", "hint"),
    [
        ({"handler_is_ours": False}, "does not say why"),
        ({"notified": False}, "listener_sql_alchemy_conn"),
        ({"pool": 15}, "sql_alchemy_max_overflow"),
        ({"base_url": "http://localhost:8080"}, "this machine only"),
        ({"base_url": "http://airflow.example.org"}, "not encrypted"),
        ({"gateway": GatewayAnswer(outcome="nothing", detail="refused")}, "refused"),
        ({"centre": centre(), "schedulers": ()}, "airflow scheduler"),
        ({"page": PageAnswer(outcome="not built", detail="Run `python hatch_build.py`")}, "hatch_build.py"),
        ({"page": PageAnswer(outcome="nothing", url=f"{PAGE}/e.js", detail="refused")}, f"{PAGE}/e.js (seen from here"),
        ({"workers": 0}, "airflow edge enroll-token create"),
    ],
)
def test_what_may_be_meant_is_only_noted(changes, hint):
    found = findings(facts(**changes))
    (note,) = [finding for finding in found if finding.mark is Mark.NOTE]
    assert hint in note.text
    assert is_right(found)


def test_what_looks_like_a_setting_is_noted_and_a_guard_that_is_none_is_wrong():
    other, guard = Unread("[edge] weather"), Unread("[edge] policy_fle", "policy_file", near=True)
    noted, said = [one for one in findings(facts(unread=(other, guard))) if "is not read" in one.text]
    assert (noted.mark, said.mark) == (Mark.NOTE, Mark.WRONG)
    assert "did you mean 'policy_file' in [edge]?" in said.text


def test_an_executor_beside_others_is_enough():
    executors = ("airflow.executors.local_executor.LocalExecutor", "airflow_edge.executor.EdgeExecutor")
    assert is_right(findings(facts(executors=executors)))


def test_no_secret_is_printed():
    secret = "s3://key:pa55@host/logs?token=pa55#pa55"
    page = PageAnswer(outcome="nothing", url="https://u:pa55@host/e.js", detail="refused")
    found = findings(facts(log_store=secret, log_store_error="refused", base_url="https://u:pa55@host", page=page))
    assert not any("pa55" in finding.text for finding in found)
    assert without_secrets(secret) == "s3://host/logs"


def of_policy(**changes):
    [found] = [one for one in findings(facts(**changes)) if "policy" in one.text]
    return found


def test_a_policy_is_told_of_and_one_that_cannot_be_read_is_wrong():
    told = of_policy(policy="version 3 of the policy", policy_modes=(("plc", "enforce"), ("*", "report")))
    assert (told.mark, "plc: enforce, *: report" in told.text) == (Mark.OK, True)
    for modes in ((), (("*", "off"),)):
        off = of_policy(policy="version 3 of the policy", policy_modes=modes)
        assert (off.mark, "off on every queue" in off.text) == (Mark.NOTE, True)
    noted = findings(facts(policy="version 3 of the policy", policy_unmatched=("rule 2: there is no Dag 'pres'",)))
    assert Finding(Mark.NOTE, "version 3 of the policy: rule 2: there is no Dag 'pres'") in noted
    broken = of_policy(policy="[edge] policy_file = /p.yaml", policy_error="/p.yaml cannot be read")
    assert (broken.mark, "cannot be read" in broken.text) == (Mark.WRONG, True)
    assert not is_right([broken])
