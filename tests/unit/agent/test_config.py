from __future__ import annotations

import inspect
import logging
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config, Sources, load
from airflow_edge.agent.core.worker_state import Automatic
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.trust import SYSTEM
from airflow_edge.settings import SETTINGS, environment_variable


@pytest.fixture
def home(tmp_path):
    return tmp_path / "airflow"


def write_cfg(home, text):
    home.mkdir(exist_ok=True)
    (home / "airflow.cfg").write_text(text)


def config(home, flags=None, environ=None, **options) -> Config:
    return load(flags, environ={"AIRFLOW_HOME": str(home), **(environ or {})}, **options)


def test_what_nobody_says_has_its_default(home):
    found = config(home)
    assert found.state_dir == home / "edge"
    assert (found.concurrency, found.umask, found.task_stop_grace) == (8, 0o077, 5.0)
    assert (found.api_url, found.name, found.queues, found.trust) == (None, None, None, SYSTEM)


def test_a_guard_that_is_set_as_well_as_misspelt_is_in_force(home):
    write_cfg(home, "[edge]\nsite_polcy = /a\nweather = fine\n[core]\nsite_secrets = /b\n")
    found = config(home)
    assert [(one.meant, one.guards) for one in found.unread] == [
        ("site_secrets", True),
        ("site_policy", True),
        ("", False),
    ]
    set_too = config(home, environ={"AIRFLOW__EDGE__SITE_POLICY": "/c"})
    assert [one.meant for one in set_too.unread if one.guards] == ["site_secrets"]
    assert "site_polcy" in str(set_too.unread)


def test_a_guard_before_any_section_of_ours_is_told(home):
    write_cfg(home, "[DEFAULT]\nsite_policy = /a\n")
    assert [one.guards for one in config(home).unread] == [True]
    # There Airflow, too, finds it.
    write_cfg(home, "[DEFAULT]\nsite_policy = /a\n[edge]\n")
    assert (config(home).site_policy, config(home).unread) == (Path("/a"), ())


def test_the_home_is_airflows_default(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert load(environ={}).state_dir == tmp_path / "airflow" / "edge"


def test_flags_come_before_the_environment_and_that_before_the_file(home):
    write_cfg(home, "[edge]\nworker_concurrency = 2\n")
    assert config(home).concurrency == 2
    environ = {"AIRFLOW__EDGE__WORKER_CONCURRENCY": "3"}
    assert config(home, environ=environ).concurrency == 3
    assert config(home, {"worker_concurrency": "4"}, environ).concurrency == 4


def test_what_is_empty_is_not_set(home):
    write_cfg(home, "[edge]\napi_url =\nworker_concurrency =\n")
    found = config(home, environ={"AIRFLOW__EDGE__API_URL": ""})
    assert (found.api_url, found.concurrency) == (None, 8)


def test_the_file_is_read_without_interpolation(home):
    write_cfg(home, "[core]\nfernet_key = %(nothing)s\n[edge]\napi_url = https://host/%20\n")
    assert config(home).api_url == "https://host/%20"


def test_another_file_can_be_named(home, tmp_path):
    other = tmp_path / "other.cfg"
    other.write_text("[edge]\nworker_concurrency = 5\n")
    assert config(home, environ={"AIRFLOW_CONFIG": str(other)}).concurrency == 5


def test_a_broken_file_is_named(home):
    write_cfg(home, "no section\n")
    with pytest.raises(ConfigError, match=r"airflow\.cfg cannot be read"):
        config(home)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("worker_concurrency", "many"),
        ("worker_concurrency", "0"),
        ("task_stop_grace", "soon"),
        ("task_stop_grace", "-1"),
        ("task_stop_grace", "nan"),
        ("min_free_disk", "1.5"),
        ("min_free_disk", "-1"),
        ("worker_umask", "0o888"),
        ("worker_umask", "0o1000"),
        ("log_bandwidth", "fast"),
        ("log_bandwidth", "k"),
        ("log_bandwidth", "100"),
        ("log_bandwidth", "nan"),
    ],
)
def test_nonsense_names_the_setting_and_where_it_came_from(home, name, text):
    variable = environment_variable(name)
    with pytest.raises(ConfigError) as caught:
        config(home, environ={variable: text})
    assert name in str(caught.value)
    assert text in str(caught.value)
    assert variable in str(caught.value)

    write_cfg(home, f"[edge]\n{name} = {text}\n")
    with pytest.raises(ConfigError, match=r"airflow\.cfg"):
        config(home)
    with pytest.raises(ConfigError, match="the command line"):
        config(home, {name: text})


@pytest.mark.parametrize(("text", "mask"), [("0o022", 0o022), ("022", 0o022), ("77", 0o77)])
def test_a_umask_is_octal(home, text, mask):
    assert config(home, {"worker_umask": text}).umask == mask


@pytest.mark.parametrize(("text", "rate"), [("65536", 65536), ("64k", 65536), ("1.5M", 1.5 * 2**20), ("1G", 2**30)])
def test_a_bandwidth_may_have_a_suffix(home, text, rate):
    assert config(home, {"log_bandwidth": text}).log_bandwidth == rate


def test_queues_are_a_list_without_repetition(home):
    assert config(home, queues=" press, saw ,press,").queues == ("press", "saw")
    with pytest.raises(ConfigError, match="--queues"):
        config(home, queues=" , ")


def test_paths_are_absolute(home, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/somebody")
    found = config(home, {"state_dir": "state", "ca_file": "~/ca.pem"})
    assert found.state_dir == tmp_path / "state"
    assert found.trust.ca_file == Path("/home/somebody/ca.pem")


def test_every_default_of_a_site_makes_sense(home):
    assert {setting.name for setting in SETTINGS if setting.side != "centre"} == {
        "agent_user",
        "api_url",
        "automatic_maintenance_exit",
        "automatic_maintenance_on",
        "ca_file",
        "client_cert",
        "client_key",
        "extended_system_info_function",
        "keep_children",
        "log_bandwidth",
        "min_free_disk",
        "site_policy",
        "site_secrets",
        "local_log_max_age",
        "local_log_max_size",
        "local_log_min_free",
        "state_dir",
        "task_stop_grace",
        "task_user",
        "worker_concurrency",
        "worker_log_backups",
        "worker_log_level",
        "worker_log_max_size",
        "worker_umask",
    }
    config(home)


def test_automatic_maintenance_is_chosen_by_a_word(home):
    assert config(home).automatic == Automatic()
    found = config(home, {"automatic_maintenance_on": "Error", "automatic_maintenance_exit": "warning "})
    assert found.automatic == Automatic(enter_at=logging.ERROR, leave_below=logging.ERROR)
    with pytest.raises(ConfigError, match=r"automatic_maintenance_exit is 'Error'.*none of Off, Info, Warning"):
        config(home, {"automatic_maintenance_exit": "Error"})


def test_a_secret_can_come_from_a_command(home):
    sources = Sources({"AIRFLOW_HOME": str(home), "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "echo ' s3cret'"})
    assert sources.find_secret("api_auth", "jwt_secret") == (
        "s3cret",
        "the environment variable AIRFLOW__API_AUTH__JWT_SECRET_CMD",
    )
    assert Sources({"AIRFLOW_HOME": str(home)}).find_secret("api_auth", "jwt_secret") is None


def test_a_command_that_fails_is_named(home):
    sources = Sources({"AIRFLOW_HOME": str(home), "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "exit 3"})
    with pytest.raises(ConfigError, match="JWT_SECRET_CMD exited with status 3"):
        sources.find_secret("api_auth", "jwt_secret")


def test_a_command_that_does_not_end_is_named(home, monkeypatch):
    monkeypatch.setattr("airflow_edge.agent.config.COMMAND_PATIENCE", 0.2)
    sources = Sources({"AIRFLOW_HOME": str(home), "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "exec sleep 60"})
    with pytest.raises(ConfigError, match=r"JWT_SECRET_CMD had not ended after 0\.2 s"):
        sources.find_secret("api_auth", "jwt_secret")


def test_a_stopped_task_has_as_long_as_with_airflows_own_executors(home):
    from airflow.sdk.execution_time.supervisor import WatchedSubprocess

    theirs = inspect.signature(WatchedSubprocess.kill).parameters["escalation_delay"].default
    assert config(home).task_stop_grace >= theirs > 0
