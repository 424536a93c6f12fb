from __future__ import annotations

import os
import pwd
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.cli.site.own_secrets import own_secrets, read_secrets

ALLOW = '[[allow]]\nconnections = ["plc_*"]\ndags = ["press_*"]\n'


@pytest.fixture
def config(tmp_path: Path) -> Config:
    folder = tmp_path / "secrets"
    for path in (folder, folder / "connections", folder / "variables"):
        path.mkdir(mode=0o700)
    for name in ("connections/plc_db", "connections/plc_7", "variables/site_name"):
        (folder / name).write_text("hunter2")
        (folder / name).chmod(0o600)
    say(folder, f'[source]\nfolder = "{folder}"\n{ALLOW}')
    return Config(state_dir=tmp_path, site_secrets=folder / "rules.toml")


def say(folder: Path, rules: str) -> None:
    (folder / "rules.toml").write_text(rules)
    (folder / "rules.toml").chmod(0o600)


def found(config: Config, **environ: str) -> list[str]:
    said = [f"{finding.mark} {finding.text} {finding.advice}" for finding in own_secrets(config, environ)]
    assert "hunter2" not in str(said)
    return said


def test_it_says_how_many_there_are_and_what_no_dag_may_have(config: Config) -> None:
    counts, without, users = found(config)
    assert "keeps 2 connections and 1 variable in" in counts
    assert "no Dag may have variable 'site_name'" in without
    assert "worker and tasks are one user" in users


def test_a_file_that_others_may_read_is_wrong(config: Config, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "connections" / "plc_7").chmod(0o644)
    fault, *_ = found(config)
    assert "1 of this site's secrets cannot be used" in fault
    assert f"plc_7 is open to others (mode 0644); chmod 600 {tmp_path}/secrets/connections/plc_7" in fault


def test_a_site_that_keeps_none_has_nothing_to_be_said_of_them(config: Config) -> None:
    assert found(replace(config, site_secrets=None)) == []


def test_rules_and_sources_that_cannot_be_used_are_wrong(config: Config, tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    (folder / "rules.toml").chmod(0o666)
    assert "others may write to it" in "".join(found(config))
    say(folder, "[source]\ncredentials = true")
    assert "LoadCredential" in "".join(found(config))
    say(folder, f'[source]\nfolder = "{folder}/gone"')
    assert "gone cannot be read" in "".join(found(config))


def test_what_nobody_looks_for_is_noted(config: Config, tmp_path: Path) -> None:
    (tmp_path / "secrets" / "connections").rename(tmp_path / "secrets" / "connexions")
    stranger, counts, *_ = found(config)
    assert stranger.startswith("NOTE nobody looks for ")
    assert "connexions (did you mean 'connections'?)" in stranger
    assert "keeps 0 connections" in counts


async def read(config: Config) -> list[str]:
    said = [f"{finding.mark} {finding.text}" async for finding in read_secrets(config, {})]
    assert "hunter2" not in str(said)
    return said


async def test_a_connection_that_is_none_is_named_as_a_task_would_find_it(config: Config, tmp_path: Path) -> None:
    good = tmp_path / "secrets" / "connections" / "plc_db"
    good.write_text("postgres://u:hunter2@h/db")
    (fault,) = await read(config)
    assert fault.startswith("WRONG 1 of this site's connections are none; connection 'plc_7': Airflow cannot read it")
    good.with_name("plc_7").write_text("http://hunter2")
    assert (await read(config))[0].startswith("OK Airflow has read this site's secrets")
    assert await read(replace(config, site_secrets=None)) == []


async def test_a_backend_that_cannot_be_loaded_is_wrong(config: Config, tmp_path: Path) -> None:
    files = 'backend_kwargs = {connections_file_path = "/nowhere/hunter2.json"}'
    backend = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
    for end, begins in (
        ("", f"OK Airflow has read this site's secrets: the secrets backend {backend}"),
        ("d", "WRONG "),
    ):
        say(tmp_path / "secrets", f'[source]\nbackend = "{backend}{end}"\n{files}\n{ALLOW}')
        (said,) = await read(config)
        assert said.startswith(begins)
    assert "did you mean 'LocalFilesystemBackend'?" in said


def test_a_backend_is_named_and_not_asked(config: Config, tmp_path: Path) -> None:
    say(tmp_path / "secrets", f'[source]\nbackend = "no.such.Backend"\nbackend_kwargs = {{token = "hunter2"}}\n{ALLOW}')
    (backend, _) = found(config)
    assert "(plc_*) is looked for in no.such.Backend" in backend


@pytest.mark.skipif(os.geteuid() != 0, reason="only root asks for another user")
def test_root_looks_as_the_worker_would(config: Config, tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    # Others may pass through it, unlike those of pytest.
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        folder = Path(shutil.copytree(tmp_path / "secrets", Path(name) / "secrets"))
        say(folder, f'[source]\nfolder = "{folder}"\n{ALLOW}')
        (folder / "rules.toml").rename(Path(name) / "rules.toml")
        (Path(name) / "rules.toml").chmod(0o644)
        config = replace(config, site_secrets=Path(name) / "rules.toml", agent_user="nobody", task_user="daemon")
        mend = f"Permission denied; `chown -R nobody {folder}`"
        assert f"{folder} cannot be read by 'nobody': {mend}" in "".join(found(config))
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        assert f"{folder / 'connections'} cannot be read by 'nobody': {mend}" in "".join(found(config))
        assert os.geteuid() == 0
        for path in (folder, *folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        assert "keeps 2 connections" in found(config)[0]
        assert "one user" not in "".join(found(config))
        assert os.geteuid() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is another user")
def test_rules_that_the_worker_cannot_use_are_told_with_its_name_and_their_path(config: Config, tmp_path: Path) -> None:
    for folder in (tmp_path, *tmp_path.parents[:3]):
        folder.chmod(folder.stat().st_mode | 0o011)
    (tmp_path / "secrets").chmod(0o755)
    two = replace(config, agent_user="daemon", task_user="nobody")
    (refused,) = found(two)
    assert "Permission denied; give it to 'daemon'" in refused
    assert config.site_secrets is not None
    os.chown(config.site_secrets, pwd.getpwnam("daemon").pw_uid, -1)
    config.site_secrets.chmod(0o620)
    (refused,) = found(two)
    assert f"chmod go-w {config.site_secrets}" in refused
