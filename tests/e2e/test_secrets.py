"""No file, environment or process list at a site ever holds an Airflow token or one of the centre's secrets."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator

import psutil
import pytest

from harness.airflow import EDGE_EXECUTOR, JWT_ISSUER
from tests.e2e.world import EXECUTOR

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(EXECUTOR != EDGE_EXECUTOR, reason="only a site has nothing to know"),
    pytest.mark.parametrize("world", ["postgresql"], indirect=True),
]

JWT = re.compile(rb"eyJ[A-Za-z0-9_-]{5,}\.(eyJ[A-Za-z0-9_-]{5,})\.[A-Za-z0-9_-]{8,}")
"""Header and payload are JSON objects and begin with `{"`: looked for so, a log of one long word takes no minutes."""

AIRFLOW_SCOPES = {"execution", "workload"}


def airflow_tokens(content: bytes) -> list[dict]:
    """The payload of every JWT in `content` that the centre has signed, by whatever is said in it."""
    found = []
    for match in JWT.finditer(content):
        encoded = match[1]
        try:
            payload = json.loads(base64.urlsafe_b64decode(encoded + b"=" * (-len(encoded) % 4)))
        except (binascii.Error, ValueError):
            continue
        if isinstance(payload, dict) and (payload.get("scope") in AIRFLOW_SCOPES or payload.get("iss") == JWT_ISSUER):
            found.append(payload)
    return found


def things_at(site) -> Iterator[tuple[str, bytes]]:
    """Everything a curious person finds at a site: each file, each environment, each command line, with its name."""
    for path in site.folder.rglob("*"):
        if path.is_file() and not path.is_relative_to(site.folder / "dags"):
            try:
                yield str(path), path.read_bytes()
            except FileNotFoundError:
                continue
    for process in site.processes():
        try:
            name = f"{process.pid} {process.name()}"
            yield f"environment of {name}", repr(process.environ()).encode()
            yield f"command line of {name}", repr(process.cmdline()).encode()
        except psutil.NoSuchProcess:
            continue


def test_the_search_finds_what_it_looks_for(world):
    script = (
        "from airflow.executors.local_executor import LocalExecutor\n"
        "generator = LocalExecutor().jwt_generator\n"
        "print(generator.generate({'sub': 'x', 'scope': 'workload'}), generator.generate({'sub': 'x'}))"
    )
    workload, execution = world.airflow.python(script).split()[-2:]
    hidden = f"{{'TOKEN': '{workload}', 'OTHER': 'Bearer {execution}'}}".encode()
    assert [payload.get("scope") for payload in airflow_tokens(hidden)] == ["workload", None]


def test_nothing_at_a_site_opens_the_centre(world):
    (site,) = world.sites.values()
    run = world.trigger("loop", name="secrets")
    world.ledger("secrets").wait_for("beat of try 1")

    found = dict(things_at(site))
    looked_at = [place for place in found if place.startswith("environment of")]
    assert len(looked_at) >= 4, "agent, runtime, supervisor and task should be among what was looked at"

    secrets = {
        "[api_auth] jwt_secret": world.airflow.jwt_secret,
        "[core] fernet_key": world.airflow.fernet_key,
        "administrator's password": world.airflow.password,
    }
    for place, content in found.items():
        for name, secret in secrets.items():
            assert secret.encode() not in content, f"{name} in {place}"
        assert not airflow_tokens(content), place

    world.client.mark(run, "beat", "success")
    world.client.wait_for_run(run)
