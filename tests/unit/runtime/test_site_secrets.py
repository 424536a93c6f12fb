"""What Airflow makes of texts and of secrets backends, in the form of the Execution API of this version."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from airflow.sdk import Connection
from airflow.sdk.api.datamodels._generated import ConnectionResponse, VariableResponse

from airflow_edge.protocol.local import SecretAnswer, SecretAsked, SecretKind
from airflow_edge.runtime.site_secrets import name_of, serve

LOCAL_FILES = "airflow.secrets.local_filesystem.LocalFilesystemBackend"


def answered(*questions: SecretAsked) -> list[SecretAnswer]:
    answers = io.BytesIO()
    serve([msgspec.json.encode(asked) for asked in questions], answers)
    return [msgspec.json.decode(line, type=SecretAnswer) for line in answers.getvalue().split(b"\n")[:-1]]


def of_text(text: str) -> SecretAnswer:
    (answer,) = answered(SecretAsked(kind="connection", name="plc_db", text=text))
    return answer


@pytest.mark.parametrize(
    "text",
    [
        "postgres://u:p%40ss@h:5432/s?sslmode=require&__extra__=x",
        "my-type://h\n",
        "http://https%3A%2F%2Fapi:443",
        '{"conn_type": "my-type", "host": "h", "port": "7", "extra": {"a": [1]}, "password": "ö"}',
        ' {"conn_type": "generic", "extra": "text"}',
    ],
)
def test_a_text_is_read_as_airflow_reads_it(text: str) -> None:
    read = Connection.from_json if text.strip().startswith("{") else Connection.from_uri
    expected = read(text.strip(), conn_id="plc_db")
    body = of_text(text).body
    assert body is not None
    response = ConnectionResponse.model_validate_json(body)
    assert response.conn_id == "plc_db"
    assert set(json.loads(body)) == {field.alias or name for name, field in ConnectionResponse.model_fields.items()}
    for field in ("conn_type", "host", "login", "password", "port", "extra"):
        assert getattr(response, field) == getattr(expected, field)
    assert response.schema_ == expected.schema


@pytest.mark.parametrize(
    "text",
    [
        "a://b://c://hunter2",
        "hunter2",
        "not a uri {hunter2",
        "[hunter2]",
        "://hunter2",
        '{"conn_type": "hunter2"',
        '{"port": "hunter2"}',
        '{"a": 1}',
    ],
)
def test_a_text_that_is_no_connection_is_not_repeated(text: str) -> None:
    answer = of_text(text)
    assert answer.body is None
    assert answer.failure
    assert "hunter2" not in answer.failure


def test_an_empty_text_is_nothing() -> None:
    assert of_text(" \n") == SecretAnswer()


def asked(kind: SecretKind, name: str, backend: str = LOCAL_FILES, **kwargs: Any) -> SecretAsked:
    return SecretAsked(kind=kind, name=name, backend=backend, backend_kwargs=kwargs)


def test_a_backend_of_airflows_is_asked_anew_each_time(tmp_path: Path) -> None:
    connections, variables = tmp_path / "connections.json", tmp_path / "variables.json"
    connections.write_text('{"plc_db": "postgres://u:p@h:5432/s", "object": {"conn_type": "http", "extra": {"a": 1}}}')
    variables.write_text('{"site_name": "Hall 7", "limits": {"bar": 7}}')
    files = {"connections_file_path": str(connections), "variables_file_path": str(variables)}
    found = answered(
        *(asked("connection", name, **files) for name in ("plc_db", "object", "nothing")),
        *(asked("variable", name, **files) for name in ("site_name", "limits", "nothing")),
    )
    assert [answer.failure for answer in found] == [""] * 6
    assert found[2].body is found[5].body is None
    plc, other = (ConnectionResponse.model_validate_json(answer.body or "") for answer in found[:2])
    assert (plc.conn_type, plc.login, plc.password, plc.port, plc.schema_) == ("postgres", "u", "p", 5432, "s")
    assert json.loads(other.extra or "") == {"a": 1}
    name, limits = (VariableResponse.model_validate_json(answer.body or "") for answer in found[3:5])
    assert (name.key, name.value) == ("site_name", "Hall 7")
    assert json.loads(limits.value or "") == {"bar": 7}
    variables.write_text('{"site_name": "Hall 8"}')
    (renewed,) = answered(asked("variable", "site_name", **files))
    assert json.loads(renewed.body or "")["value"] == "Hall 8"


@pytest.mark.parametrize(
    ("backend", "kwargs", "failure"),
    [
        ("no.such.Backend", {}, "there is no module 'no' here"),
        (
            LOCAL_FILES + "d",
            {},
            f"'LocalFilesystemBackendd' in {LOCAL_FILES.rpartition('.')[0]} is no secrets backend; did",
        ),
        ("json.JSONDecoder", {}, "'JSONDecoder' in json is no secrets backend"),
        (LOCAL_FILES, {"token": "hunter2"}, "TypeError"),
        (LOCAL_FILES, {"connections_file_path": "/nowhere/hunter2.json"}, ""),
    ],
)
def test_a_backend_that_fails_is_named_by_its_error(backend: str, kwargs: dict[str, str], failure: str) -> None:
    first, second = answered(asked("connection", "plc_db", backend, **kwargs), asked("variable", "x"))
    assert first.failure.startswith(failure)
    assert first.failure
    assert "hunter2" not in first.failure
    # The next question is answered all the same.
    assert second == SecretAnswer()


@pytest.mark.parametrize(
    ("backend", "failure"),
    [(LOCAL_FILES, ""), (f"{LOCAL_FILES}d", f"did you mean '{LOCAL_FILES.rpartition('.')[2]}'?")],
)
def test_a_backend_may_be_loaded_without_a_question(backend: str, failure: str) -> None:
    (answer,) = answered(asked("connection", "", backend, connections_file_path="/nowhere/at/all.json"))
    assert answer.body is None
    assert answer.failure.endswith(failure)
    assert bool(answer.failure) == bool(failure)


def test_an_error_is_named_with_its_causes() -> None:
    error = RuntimeError("hunter2")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused", "hunter2")
    assert name_of(error) == "RuntimeError, from ConnectionRefusedError (Connection refused)"
