"""`python -m airflow_edge.runtime.site_secrets`: reads for the agent what only Airflow can read.

A line of JSON for each question on stdin, and one for each answer on stdout, until stdin ends. It is the agent's user's
process, and no task's: a secrets backend opens more than one task may have.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys
from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from typing import Any, BinaryIO

import msgspec

from airflow_edge.protocol.local import SecretAnswer, SecretAsked
from airflow_edge.runtime.environment import for_tasks, set_title

LONGEST_CHAIN = 4
"""Errors that are named, from the last to the one that was its cause."""
_FIELDS = ("conn_type", "host", "schema", "login", "password", "port", "extra")


class UselessError(Exception):
    """Its text may be read by anybody: nothing that is secret is in it."""


def main() -> int:
    """Answer until there is nothing more to be asked."""
    # Whatever prints is not to be taken for an answer.
    answers = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    set_title("airflow-edge secrets")
    environment = for_tasks(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    with contextlib.suppress(BrokenPipeError):
        serve(sys.stdin.buffer, answers)
    return 0


def serve(questions: Iterable[bytes], answers: BinaryIO | Any) -> None:
    """Answer each question, in its order."""
    for line in questions:
        try:
            answer = SecretAnswer(body=_body(msgspec.json.decode(line, type=SecretAsked)))
        except UselessError as error:
            answer = SecretAnswer(failure=str(error))
        except Exception as error:  # noqa: BLE001 - it may be a backend's, with any error
            answer = SecretAnswer(failure=name_of(error))
        answers.write(msgspec.json.encode(answer) + b"\n")


def name_of(error: BaseException) -> str:
    """Name an error and its causes, by their kinds: their texts may hold what was read, as Airflow's own do."""
    names: list[str] = []
    chained: BaseException | None = error
    while chained is not None and len(names) < LONGEST_CHAIN:
        kind = type(chained)
        module = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
        system = f" ({chained.strerror})" if isinstance(chained, OSError) and isinstance(chained.strerror, str) else ""
        names.append(f"{module}{kind.__qualname__}{system}")
        chained = chained.__cause__ or chained.__context__
    return ", from ".join(names)


def _body(asked: SecretAsked) -> str | None:
    """Give what the Execution API answers with; it is the same in all of its versions."""
    if not asked.backend:
        return _text_connection(asked)
    backend = _backend(asked.backend, json.dumps(asked.backend_kwargs, sort_keys=True))
    if not asked.name:
        return None
    if asked.kind == "connection":
        return _connection(asked.name, backend.get_connection(conn_id=asked.name))
    value = backend.get_variable(key=asked.name)
    if value is None:
        return None
    # Files of variables may hold objects, which tasks read as JSON.
    return json.dumps({"key": asked.name, "value": value if isinstance(value, str) else json.dumps(value)})


def _text_connection(asked: SecretAsked) -> str | None:
    connection = _text_backend(asked.text).get_connection(asked.name)
    if connection is not None and not connection.conn_type and not asked.text.lstrip().startswith("{"):
        # Airflow makes something of any text, and a task would get pieces of it.
        raise UselessError("it is neither JSON nor a URI with its type before '://'")
    return _connection(asked.name, connection)


def _connection(name: str, connection: Any) -> str | None:
    if connection is None:
        return None
    found = {field: getattr(connection, field) for field in _FIELDS}
    return json.dumps({"conn_id": name, **found, "conn_type": found["conn_type"] or ""})


@cache
def _backend(path: str, kwargs: str) -> Any:
    place, _, name = path.rpartition(".")
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise UselessError(f"there is no module '{error.name}' here") from error
    found: Any = getattr(module, name, None)
    if not (callable(getattr(found, "get_connection", None)) and callable(getattr(found, "get_variable", None))):
        near = get_close_matches(name, vars(module), n=1, cutoff=0.8)
        meant = f"; did you mean '{near[0]}'?" if found is None and near else ""
        raise UselessError(f"'{name}' in {place} is no secrets backend{meant}")
    return found(**json.loads(kwargs))


def _text_backend(text: str) -> Any:
    """Give a secrets backend that has one text: so it is read as every backend's is, as URI or as JSON."""
    from airflow.sdk.bases.secrets_backend import BaseSecretsBackend

    class TextBackend(BaseSecretsBackend):
        def get_conn_value(self, conn_id: str, team_name: str | None = None) -> str | None:
            return text.strip()

    return TextBackend()


if __name__ == "__main__":
    sys.exit(main())
