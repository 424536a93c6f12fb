"""Secrets of the centre at a site: named for people, empty for tasks, wherever they were written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_edge.site.secrets import CENTRES, held, hide, option

SPELLINGS = ["", "_CMD", "_SECRET"]
names = st.tuples(st.sampled_from(sorted(CENTRES)), st.sampled_from(SPELLINGS), st.sampled_from(["", "RED___"]))


def at_home(home: Path, text: str = "", **variables: str) -> dict[str, str]:
    (home / "airflow.cfg").write_text(text)
    return {"AIRFLOW_HOME": str(home), **variables}


@pytest.mark.attack(10)
@given(st.lists(names))
def test_no_spelling_of_a_secret_reaches_a_task(given_names: list[tuple[tuple[str, str], str, str]]) -> None:
    variables = [f"AIRFLOW__{team}{section}__{name}{how}".upper() for (section, name), how, team in given_names]
    environ = {"AIRFLOW_HOME": "/nowhere", "PATH": "/bin"} | dict.fromkeys(variables, "secret")
    assert held(environ) == sorted(set(variables), key=held(environ).index)
    hide(environ)
    assert "secret" not in environ.values()
    assert environ["PATH"] == "/bin"
    assert held(environ) == []


@pytest.mark.parametrize("suffix", SPELLINGS)
def test_what_a_file_says_is_named_and_hidden(tmp_path: Path, suffix: str) -> None:
    environ = at_home(tmp_path, f"[core]\nfernet_key{suffix.lower()} = secret\nparallelism = 4\n")
    assert held(environ) == [f"[core] fernet_key{suffix.lower()} in {tmp_path / 'airflow.cfg'}"]
    hide(environ)
    assert environ["AIRFLOW__CORE__FERNET_KEY"] == ""
    assert len(environ) == 2


def test_a_database_that_is_a_file_is_no_secret(tmp_path: Path) -> None:
    assert held(at_home(tmp_path, "[database]\nsql_alchemy_conn = sqlite:////home/airflow.db\n")) == []


@pytest.mark.parametrize("text", ["no configuration", "[core\n", "[core]\nfernet_key\n"])
def test_a_file_that_makes_no_sense_is_left_to_airflow(tmp_path: Path, text: str) -> None:
    environ = at_home(tmp_path, text)
    assert held(environ) == []
    hide(environ)


def test_what_is_the_sites_own_stays(tmp_path: Path) -> None:
    own = {
        "AIRFLOW__SECRETS__BACKEND_KWARGS": "{}",
        "AIRFLOW_CONN_PLC": "http://user:password@plc",
        "AIRFLOW_VAR_LINE": "7",
        "HTTPS_PROXY": "http://user:password@proxy:3128",
    }
    environ = at_home(tmp_path, **own)
    hide(environ)
    assert own.items() <= environ.items()


@pytest.mark.attack(10)
def test_what_speaks_for_the_workers_own_process_is_not_for_tasks(tmp_path: Path) -> None:
    environ = at_home(tmp_path, NOTIFY_SOCKET="/run/systemd/notify", WATCHDOG_USEC="1", LISTEN_FDS="1")
    hide(environ)
    assert environ.keys() == {"AIRFLOW_HOME"}


def test_airflow_sees_all_that_it_calls_sensitive_empty_and_so_do_programs_of_a_task(tmp_path: Path) -> None:
    text = "[core]\nfernet_key = secret\n[api]\nsecret_key = secret\n[logging]\n"
    text += 'remote_task_handler_kwargs = {"password": "secret"}\n[secrets]\nbackend_kwargs = {"own": 1}\n'
    program = """
import os, subprocess, sys
from airflow_edge.runtime.environment import for_tasks, hide_sensitive
os.environ.update(for_tasks(os.environ))
hide_sensitive()
show = "from airflow.configuration import conf;print([conf.get(s, o) for s, o in (('core', 'fernet_key'),"
show += "('api', 'secret_key'), ('logging', 'remote_task_handler_kwargs'), ('secrets', 'backend_kwargs'))])"
exec(show)
sys.stdout.flush()
subprocess.run([sys.executable, "-c", show], check=True)
"""
    environ = at_home(tmp_path, text, PATH="/bin", HOME=str(tmp_path))
    said = subprocess.run([sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True)
    expected = """['', '', '', '{"own": 1}']"""
    assert [line for line in said.stdout.splitlines() if line.startswith("[")] == [expected, expected]


def test_an_option_is_read_as_airflow_reads_it(tmp_path: Path) -> None:
    text = "[core]\ndefault_impersonation = report\n"
    assert option(at_home(tmp_path), "core", "default_impersonation") == ""
    assert option(at_home(tmp_path, text), "core", "default_impersonation") == "report"
    environ = at_home(tmp_path, text, AIRFLOW__CORE__DEFAULT_IMPERSONATION="other")
    assert option(environ, "core", "default_impersonation") == "other"
