from __future__ import annotations

import socket

import msgspec
import pytest

from airflow_edge.agent.errors import ConfigError, InsecureUrlError, WrongUrlError
from airflow_edge.agent.net.enrolment import default_name, enroll
from airflow_edge.protocol.enrolment import write_token
from airflow_edge.protocol.problems import EnrollRequest

TOKEN = write_token(bytes(32))


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("press-7", "press-7"),
        ("press 7.factory", "press-7.factory"),
        ("_underscore", "underscore"),
        ("größe", "gr-e"),
        ("ü", "worker"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_hosts_name_is_made_fit(monkeypatch, host, name):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert default_name() == name
    msgspec.convert({"public_key": "0" * 64, "name": name}, EnrollRequest)


@pytest.mark.parametrize("name", ["", "a b", "-a", "größe", "a/b", "x" * 201])
async def test_a_name_that_cannot_be_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(ConfigError, match="--name"):
        await enroll(tmp_path / "state" / "worker.json", "https://centre", name, token=TOKEN)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"public_key": "0" * 64, "name": name}, EnrollRequest)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_no_url_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(WrongUrlError, match="https://airflow"):
        await enroll(tmp_path / "state" / "worker.json", "centre", "press", token=TOKEN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", ["", "edge_", "edge_x", TOKEN + "x", TOKEN + "\n", TOKEN[:-1], "x" + TOKEN])
async def test_what_is_no_token_is_refused_before_anything_is_made(tmp_path, token):
    with pytest.raises(ConfigError, match=r"no enrolment token.*enroll-token create"):
        await enroll(tmp_path / "state" / "worker.json", "https://centre", "press", token=token)
    assert list(tmp_path.iterdir()) == []


async def test_attack_08_http_to_another_machine_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InsecureUrlError, match=r"http://centre.*--insecure"):
        await enroll(tmp_path / "state" / "worker.json", "http://centre", "press", token=TOKEN)
    assert list(tmp_path.iterdir()) == []
