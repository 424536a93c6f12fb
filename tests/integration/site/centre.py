"""A centre in a process of its own: gateways on SQLite, over HTTP and TLS, and things that are no gateway.

`python -m tests.integration.site.centre FOLDER` serves until it is terminated; where, it says in `FOLDER/urls.json`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import ssl
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import trustme
from sqlalchemy import create_engine
from sqlalchemy.orm import sessionmaker

from airflow_edge.admin.centre_keys import keyring
from airflow_edge.admin.tokens import verify_key
from airflow_edge.protocol.enrolment import write_token
from airflow_edge.protocol.urls import HEALTH, PREFIX
from airflow_edge.store.store import Store
from airflow_edge.store.workers.enrollment import EnrollToken
from harness.processes import Process

REPOSITORY = Path(__file__).parents[3]
URLS = "urls.json"
JWT_SECRET = "the secret that Airflow's components share" * 2


class Centre:
    """The centre as a test sees it: its URLs, and its database for what an admin would do."""

    def __init__(self, folder: Path, urls: dict[str, str]) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self.http = urls["http"]
        self.https = urls["https"]
        self.trusting = urls["trusting"]
        """Lets workers enrol with the shared secret."""
        self.disabled = urls["disabled"]
        self.strict = urls["strict"]
        """Has an old Airflow, and gives jobs only to workers of a later version."""
        self.airflow_only = urls["airflow_only"]
        self.engine = create_engine(f"sqlite:///{folder / 'airflow.db'}")
        self.store = Store(sessionmaker(self.engine, expire_on_commit=False))

    @classmethod
    @contextlib.contextmanager
    def running(cls, folder: Path) -> Iterator[Centre]:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(folder / "ca.pem"))
        certificate = authority.issue_cert("localhost")
        certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "server.pem"))
        environment = {
            "PATH": os.defpath,
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET,
            "AIRFLOW__CORE__EXECUTOR": "airflow_edge.executor.EdgeExecutor",
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{folder / 'airflow.db'}",
            "AIRFLOW__EDGE__HEARTBEAT_INTERVAL": "1",
        }
        process = Process(
            "centre",
            [sys.executable, "-m", "tests.integration.site.centre", folder],
            env=environment,
            cwd=REPOSITORY,
            log=folder / "centre.log",
        )
        try:
            process.wait_ready((folder / URLS).exists, timeout=180)
            centre = cls(folder, json.loads((folder / URLS).read_text()))
            trust = ssl.create_default_context(cafile=str(centre.ca_file))
            for url in (centre.http, centre.https, centre.trusting):
                process.wait_ready(partial(_is_healthy, url, trust), timeout=300)
            yield centre
            centre.engine.dispose()
        finally:
            process.stop(timeout=20)

    def token(self, *queues: str, uses: int = 1, expired: bool = False, pattern: str | None = None) -> str:
        """Make an enrolment token, as `airflow edge enroll-token create` does."""
        secret = write_token(secrets.token_bytes(32), keyring(self.store).fingerprint)
        now = datetime.now(UTC)
        token = EnrollToken(
            id=uuid4(),
            queues=queues or ("default",),
            team_name=None,
            name_pattern=pattern,
            uses=uses,
            uses_left=uses,
            created_at=now,
            expires_at=now + (-timedelta(seconds=1) if expired else timedelta(hours=1)),
            created_by="test",
            revoked_at=None,
        )
        self.store.enroll_tokens.create(token, verify_key(secret))
        return secret

    def revoke(self, name: str) -> None:
        """Revoke a worker, as `airflow edge revoke-worker` does."""
        assert self.store.workers.revoke(name, now=datetime.now(UTC))


def _is_healthy(url: str, trust: ssl.SSLContext) -> bool:
    try:
        with urllib.request.urlopen(f"{url}{PREFIX}{HEALTH}", context=trust, timeout=10) as answer:
            return bool(json.load(answer)["status"] == "healthy")
    except urllib.error.HTTPError:
        return False


def _serve(folder: Path) -> None:
    import uvicorn
    from airflow import settings
    from airflow.api_fastapi.app import lifespan
    from airflow.models import import_all_models
    from airflow.models.base import Base as AirflowBase
    from fastapi import FastAPI

    from airflow_edge.gateway.app import create_app
    from airflow_edge.gateway.config import read_config
    from airflow_edge.rules.versions import Rules
    from airflow_edge.store.tables import Base
    from tests.integration.gateway.world import NoTaskApi

    import_all_models()
    assert settings.engine is not None
    AirflowBase.metadata.create_all(settings.engine)
    Base.metadata.create_all(settings.engine)

    def gateway(**changes: Any) -> FastAPI:
        app = FastAPI(lifespan=lifespan)
        settings = replace(read_config(), **{"api_enabled": True, **changes})
        # As Airflow mounts what a plugin brings. No task calls here: its Execution API would only take seconds to load.
        app.mount(PREFIX, create_app(settings, None, NoTaskApi))
        return app

    airflow_only = FastAPI()
    airflow_only.get("/api/v2/version")(lambda: {"version": "3.3.2", "git_version": None})
    apps = {
        "http": gateway(),
        "https": gateway(),
        "trusting": gateway(allow_shared_secret_enrollment=True),
        "disabled": gateway(api_enabled=False),
        "strict": gateway(versions=Rules(worker="99.0", airflow="3.1.0", minimum_worker="99.0")),
        "airflow_only": airflow_only,
    }
    tls = {"ssl_certfile": str(folder / "server.pem")}
    servers, sockets, urls = {}, {}, {}
    for name, app in apps.items():
        sockets[name] = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if name == "https" else "http"
        urls[name] = f"{scheme}://localhost:{sockets[name].getsockname()[1]}"
        more = tls if name == "https" else {}
        servers[name] = uvicorn.Server(uvicorn.Config(app, log_level="info", **more))  # type: ignore[arg-type]

    async def run() -> None:
        loop = asyncio.get_running_loop()

        def end() -> None:
            for server in servers.values():
                server.should_exit = True

        loop.add_signal_handler(signal.SIGTERM, end)
        for server in servers.values():
            # Each would take the signals for itself.
            server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
        running = [asyncio.create_task(server.serve([sockets[name]])) for name, server in servers.items()]
        while not all(server.started for server in servers.values()):
            for task in running:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)
        (folder / f"{URLS}.new").write_text(json.dumps(urls))
        (folder / f"{URLS}.new").rename(folder / URLS)
        await asyncio.gather(*running)

    asyncio.run(run())


if __name__ == "__main__":
    _serve(Path(sys.argv[1]))
