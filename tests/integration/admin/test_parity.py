"""Whatever a command can change, the REST API can: from the commands' own definitions, by what the audit log has.

A command is typed as below and its entry in the audit log names the route that does the same. One that is new has to
be typed here, or to be among those that change nothing, which is looked at, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from airflow.cli.cli_config import ActionCommand, GroupCommand
from fastapi.routing import APIRoute

from airflow_edge.cli.centre.definition import get_edge_commands
from airflow_edge.protocol.states import WorkerState
from tests.integration.admin.test_api import CHANGES, document, noted
from tests.integration.airflow_here import airflow_command

TYPED: dict[str, tuple[str, ...]] = {
    "enroll-token create": ("--queues", "plc", "--api-url", "https://airflow.example.org"),
    "enroll-token revoke": ("TOKEN",),
    "set-disconnect-grace": ("w", "12h"),
    "remote-edge-worker-request-maintenance": ("w", "--comments", "new disk", "--until", "2h", "--wait", "0"),
    "remote-edge-worker-update-maintenance-comment": ("in-maintenance", "--comments", "new disk", "--wait", "0"),
    "remote-edge-worker-exit-maintenance": ("in-maintenance", "--wait", "0"),
    "shutdown-remote-edge-worker": ("w", "--wait", "0"),
    "shutdown-all-workers": ("--yes", "--wait", "0"),
    "restart-worker": ("w", "--wait", "0"),
    "set-worker-concurrency": ("w", "--concurrency", "3", "--wait", "0"),
    "rename-worker": ("w", "x", "--wait", "0"),
    "test-worker": ("w", "--no-wait"),
    "add-worker-queues": ("w", "--queues", "plc"),
    "remove-worker-queues": ("w", "--queues", "plc"),
    "revoke-worker": ("w",),
    "remove-remote-edge-worker": ("gone",),
    "pause-queue": ("plc", "--note", "why"),
    "resume-queue": ("plc",),
    "policy set": ("-", "--note", "why"),
}
"""Each command that changes something, with what may follow it."""
READ: dict[str, tuple[tuple[str, ...], str]] = {
    "enroll-token list": ((), "list_enroll_tokens"),
    "list-workers": ((), "list_workers"),
    "list-jobs": ((), "list_jobs"),
    "list-queues": ((), "list_queues"),
    "explain-job": (("d", "r", "t"), "explain_job"),
    "policy show": ((), "show_policy"),
    "policy test": (("connections", "db", "--dag-id", "d"), "test_policy"),
    "policy suggest": ((), "suggest_policy"),
}
"""Those that show something, with the operation that gives it, too."""
OTHERS = {
    "centre-key show": "is for whoever runs Airflow: a user of the page may be one team's",
    "centre-key rotate": "is for whoever runs Airflow, too: it is about every worker",
    "check": "says what an administrator has to set where Airflow runs",
    "worker-logs": "is `POST /workers/log` and `GET /workers/{name}/log` in one, until Ctrl-C",
}


def commands() -> Iterator[tuple[str, ActionCommand]]:
    def leaves(found: Any, before: str) -> Iterator[tuple[str, ActionCommand]]:
        for one in found:
            name = f"{before} {one.name}".strip()
            if isinstance(one, GroupCommand):
                yield from leaves(one.subcommands, name)
            else:
                yield name, one

    (edge,) = get_edge_commands()
    yield from leaves(edge.subcommands, "")


def at_the_site(command: ActionCommand) -> bool:
    """Whether it is the other name of a command of `airflow-edge`, which is about the machine where it is typed."""
    return any(arg.flags == ("arguments",) for arg in command.args)


def test_every_command_is_typed_here_or_changes_nothing() -> None:
    known = {*TYPED, *READ, *OTHERS}
    assert {name for name, command in commands() if not at_the_site(command)} == known


@pytest.fixture
def typed(api, monkeypatch):
    """Type a command before workers in every state it needs."""
    monkeypatch.setenv("AIRFLOW__DATABASE__CHECK_MIGRATIONS", "False")
    api.worker("w", queues=("default", "plc"))
    api.worker("in-maintenance", WorkerState.MAINTENANCE_MODE)
    api.worker("gone", WorkerState.OFFLINE)

    def call(name, words):
        done = airflow_command("edge", *name.split(), *words, typed="modes: {plc: report}" if "-" in words else None)
        assert done.status == 0, done.err
        return noted(api)

    return call


@pytest.mark.parametrize("name", TYPED)
def test_a_command_that_changes_something_has_a_route_that_does_the_same(api, typed, name):
    words = TYPED[name]
    if "TOKEN" in words:
        made = api.post("/enroll-tokens", CHANGES["/enroll-tokens"])
        words = (made["id"],)
        api.post(f"/enroll-tokens/{made['id']}/revoke", {})
    before = len(noted(api))
    (event, _, said) = typed(name, words)[before:][0]
    path = routes()[event]
    body = CHANGES[path]
    if "workers" in body:
        body = {**body, "workers": list(said["workers"])}
    # What somebody may not do with a command's counterpart, the API refuses and notes under the same name.
    filled = path.format(name="w", token_id=UUID(words[0]) if "{token_id}" in path else uuid4())
    api.call("POST", filled, role="viewer", json=body)
    assert noted(api)[-1][0] == event


@pytest.mark.parametrize("name", READ)
def test_a_command_that_shows_something_changes_nothing_and_has_a_route(typed, name):
    words, operation = READ[name]
    assert typed(name, words) == []
    assert operation in operations()


def routes() -> dict[str, str]:
    """The path of each change, by what it is called in the audit log."""
    from airflow_edge.admin.rest.app import create_app

    found = [route for route in create_app().routes if isinstance(route, APIRoute)]
    return {route.name: route.path for route in found if "POST" in route.methods}


def operations() -> set[str]:
    return {said["operationId"] for methods in document()["paths"].values() for said in methods.values()}
