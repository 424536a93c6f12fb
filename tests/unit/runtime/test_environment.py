from __future__ import annotations

import os
import socket
import tempfile

import pytest

from airflow_edge.runtime.environment import WORKER_NAME_VARIABLE, for_tasks, hostname, keep_log_folder_open


def test_what_the_agent_had_stays():
    assert (
        for_tasks({"PATH": "/bin", "AIRFLOW_HOME": "/a", "AIRFLOW__CORE__DAGS_FOLDER": "/d"}).items()
        >= {
            "PATH": "/bin",
            "AIRFLOW_HOME": "/a",
            "AIRFLOW__CORE__DAGS_FOLDER": "/d",
        }.items()
    )


@pytest.mark.parametrize("suffix", ["", "_CMD", "_SECRET"])
def test_the_centres_secret_goes(suffix):
    assert "x" not in for_tasks({f"AIRFLOW__API_AUTH__JWT_SECRET{suffix}": "x"}).values()


def test_there_is_no_database_whatever_was_set():
    result = for_tasks(
        {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://user:password@host/db",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": "cat secret",
        }
    )
    assert "password" not in result["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD" not in result


def test_examples_are_loaded_only_where_somebody_asked_for_them():
    name = "AIRFLOW__CORE__LOAD_EXAMPLES"
    assert for_tasks({})[name] == "False"
    assert for_tasks({name: "True"})[name] == "True"


@pytest.mark.parametrize(
    ("given", "expected"),
    [("airflow_edge.logs.LOGGING_CONFIG", ""), ("site.LOGGING_CONFIG", "site.LOGGING_CONFIG")],
)
def test_the_centres_own_log_configuration_is_not_for_a_site(given, expected):
    name = "AIRFLOW__LOGGING__LOGGING_CONFIG_CLASS"
    assert for_tasks({name: given})[name] == expected


def test_airflow_is_kept_from_writing_a_configuration_file(tmp_path):
    assert for_tasks({"AIRFLOW_HOME": str(tmp_path)})["AIRFLOW_CONFIG"] == os.devnull


def test_a_configuration_file_that_is_there_is_used(tmp_path):
    (tmp_path / "airflow.cfg").touch()
    assert "AIRFLOW_CONFIG" not in for_tasks({"AIRFLOW_HOME": str(tmp_path)})
    assert for_tasks({"AIRFLOW_CONFIG": "/etc/airflow.cfg"})["AIRFLOW_CONFIG"] == "/etc/airflow.cfg"


def test_a_folder_for_logs_that_the_site_has_named_stays(tmp_path):
    variable = "AIRFLOW__LOGGING__BASE_LOG_FOLDER"
    unnamed = {"AIRFLOW_HOME": str(tmp_path)}
    keep_log_folder_open(unnamed)
    assert unnamed[variable] == tempfile.gettempdir()
    named = {"AIRFLOW_HOME": str(tmp_path), variable: "/srv/logs"}
    keep_log_folder_open(named)
    assert named[variable] == "/srv/logs"
    (tmp_path / "airflow.cfg").write_text("[logging]\nbase_log_folder = /srv/logs\n")
    filed = {"AIRFLOW_HOME": str(tmp_path)}
    keep_log_folder_open(filed)
    assert variable not in filed


def test_what_was_given_is_not_changed():
    environ = {"AIRFLOW__API_AUTH__JWT_SECRET": "x"}
    for_tasks(environ)
    assert environ == {"AIRFLOW__API_AUTH__JWT_SECRET": "x"}


def test_the_hosts_name_is_the_workers(monkeypatch):
    monkeypatch.setenv(WORKER_NAME_VARIABLE, "press-7")
    assert hostname() == "press-7"
    assert for_tasks({})["AIRFLOW__CORE__HOSTNAME_CALLABLE"] == f"{hostname.__module__}.{hostname.__name__}"


def test_without_a_name_it_is_the_hosts(monkeypatch):
    monkeypatch.delenv(WORKER_NAME_VARIABLE, raising=False)
    assert hostname() == socket.getfqdn()


@pytest.mark.attack(11)
def test_no_dag_is_checked_against_the_settings_of_a_site():
    assert (
        for_tasks({}).items()
        >= {"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "0", "AIRFLOW__CORE__MULTI_TEAM": "True"}.items()
    )
    assert for_tasks({"AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "90"})["AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT"] == "90"


@pytest.mark.parametrize("what", ["PLUGINS", "PROVIDERS"])
def test_nothing_of_the_sites_own_is_loaded_with_airflow(what):
    option = {"PLUGINS": "AIRFLOW__CORE__LAZY_LOAD_PLUGINS", "PROVIDERS": "AIRFLOW__CORE__LAZY_DISCOVER_PROVIDERS"}[
        what
    ]
    assert for_tasks({option: "False"})[option] == "True"
