from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from airflow_edge import __version__
from airflow_edge.agent.config import Config, load
from airflow_edge.checking.findings import Mark
from airflow_edge.cli.site.local import look_around
from airflow_edge.cli.site.running import AtWork, findings
from airflow_edge.settings import SETTINGS, environment_variable

STATUS: dict[str, Any] = {
    "name": "press-7",
    "pid": 7,
    "version": __version__,
    "conditions": [],
    "link": {"state": "linked"},
    "site_policy": "",
    "settings": {},
}
AT_SITE = [setting for setting in SETTINGS if setting.side == "site"]
OTHERS = {"integer": "77", "float": "77", "boolean": "True", "string": "/another"}
TEXTS = {
    "log_bandwidth": "64k",
    "automatic_maintenance_on": "Error",
    "automatic_maintenance_exit": "Info",
    "worker_log_level": "error",
    "worker_umask": "0o027",
}


def config(tmp_path: Path, **environ: str) -> Config:
    return load(environ={"AIRFLOW_HOME": str(tmp_path), **environ})


def at_work(config: Config, **status: Any) -> AtWork:
    return AtWork({**STATUS, "settings": config.told, **status})


@pytest.mark.parametrize("setting", AT_SITE, ids=lambda setting: setting.name)
def test_each_setting_that_a_worker_reads_once_is_compared_with_what_it_goes_by(setting, tmp_path: Path) -> None:
    before = config(tmp_path)
    text = TEXTS.get(setting.name, OTHERS[setting.kind])
    after = config(tmp_path, **{environment_variable(setting.name): text})
    assert [finding.mark for finding in findings(before, at_work(before))] == [Mark.OK]
    for here, there in ((before, after), (after, before)):
        _, differs = findings(here, at_work(there))
        assert differs.mark is (Mark.WRONG if setting.guards else Mark.NOTE)
        assert f"[edge] {setting.name} is " in differs.text
        assert "systemctl restart airflow-edge" in differs.text
        assert not at_work(there).goes_by(here, setting.name)


def test_what_a_command_line_says_and_what_is_the_default_is_no_difference(tmp_path: Path) -> None:
    plain = config(tmp_path)
    flag = load({"worker_concurrency": 3}, environ={"AIRFLOW_HOME": str(tmp_path)})
    assert list(at_work(flag).differences(plain)) == []
    assert list(at_work(config(tmp_path, AIRFLOW__EDGE__WORKER_CONCURRENCY="8")).differences(plain)) == []


def test_a_password_in_a_url_is_not_shown(tmp_path: Path) -> None:
    told = config(tmp_path, AIRFLOW__EDGE__API_URL="https://user:hush@centre").told
    assert told == {"[edge] api_url": "https://centre"}


def test_an_older_worker_is_to_be_restarted(tmp_path: Path) -> None:
    plain = config(tmp_path)
    _, older = findings(plain, AtWork({**STATUS, "version": "0.0.1"}))
    assert "it is airflow-edge 0.0.1" in older.text
    status = {key: value for key, value in STATUS.items() if key != "settings"}
    _, silent = findings(plain, AtWork(status))
    assert "does not say by which settings" in silent.text


def test_a_policy_that_the_worker_does_not_go_by_is_not_right(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('queues = ["plc"]')
    path.chmod(0o644)
    plain = config(tmp_path)
    named = config(tmp_path, AIRFLOW__EDGE__SITE_POLICY=str(path))
    (found,) = [one for one in look_around(named, {}, at_work(plain)) if "the site policy" in one.text]
    assert found.mark is Mark.NOTE
    assert found.text == f"once the worker is restarted: the site policy {path}: queues plc"
    (found,) = [one for one in look_around(named, {}, at_work(named)) if "the site policy" in one.text]
    assert found.mark is Mark.OK


def test_a_damaged_policy_is_worded_by_what_the_worker_does_and_by_what_a_restart_would(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text('queues = ["plc"]')
    path.chmod(0o666)
    named = config(tmp_path, AIRFLOW__EDGE__SITE_POLICY=str(path))

    def said(found: AtWork) -> str:
        (finding,) = [one for one in look_around(named, {}, found) if "policy.toml" in one.text]
        assert finding.mark is Mark.WRONG
        assert "others may write to it" in finding.text
        return finding.text

    good = said(at_work(named, site_policy=f"{path}: queues plc"))
    assert "goes by the last good version" in good
    assert "takes no task once it is restarted" in good
    assert "no task is taken here;" in said(at_work(named))
    assert "no task is taken here once a worker runs;" in said(AtWork())


def test_who_may_change_the_configuration_may_take_the_guard_away(tmp_path: Path) -> None:
    cfg = tmp_path / "airflow.cfg"
    cfg.write_text(f"[edge]\nsite_policy = {tmp_path}/policy.toml\n")
    environ = {"AIRFLOW_HOME": str(tmp_path)}

    def said() -> list[str]:
        found = look_around(load(environ=environ), environ, AtWork())
        return [one.text for one in found if "may change what guards" in one.text]

    cfg.chmod(0o644)
    assert said() == []
    cfg.chmod(0o664)
    assert f"chmod go-w {cfg}" in said()[0]
    cfg.write_text("[edge]\n")
    assert said() == []


def test_a_worker_that_is_two_users_is_not_restarted_from_afar(tmp_path: Path) -> None:
    one = config(tmp_path)
    two = config(tmp_path, AIRFLOW__EDGE__AGENT_USER="daemon", AIRFLOW__EDGE__TASK_USER="nobody")
    for there, at_centre in ((one, True), (two, False)):
        here = replace(there, told={**there.told, "[edge] task_user": "another"})
        _, differs = findings(here, at_work(there))
        assert ("`airflow edge restart-worker press-7` at the centre" in differs.text) is at_centre
