"""The Execution API as far as a simple task needs it: a real HTTP server on a Unix socket that remembers every call."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any
from urllib.parse import unquote, urlsplit

RUN_CONTEXT: dict[str, Any] = {
    "dag_run": {
        "dag_id": "sample",
        "logical_date": "2026-01-01T00:00:00Z",
        "data_interval_start": "2026-01-01T00:00:00Z",
        "data_interval_end": "2026-01-01T00:00:00Z",
        "run_after": "2026-01-01T00:00:00Z",
        "start_date": "2026-01-01T00:00:00Z",
        "end_date": None,
        "clear_number": 0,
        "run_type": "manual",
        "state": "running",
        "conf": {},
        "triggering_user_name": None,
        "consumed_asset_events": [],
        "partition_key": None,
    },
    "task_reschedule_count": 0,
    "max_tries": 0,
    "variables": [],
    "connections": [],
    "xcom_keys_to_clear": [],
    "should_retry": False,
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call as it arrived; `path` without query, percent-decoded."""

    at: float
    method: str
    path: str
    authorization: str
    body: Any


Answer = tuple[int, Any] | None
"""Status and JSON; None to hang up without an answer."""


@dataclass
class ExecutionApi:
    """Serves until `close`. `answers` overrules what it says: called for each call, None for the usual."""

    path: Path
    run_id: str = "run"
    should_retry: bool = False
    overrule: Callable[[Call], Answer | str] | None = None
    calls: list[Call] = field(default_factory=list)
    changed: threading.Condition = field(default_factory=threading.Condition)
    connections: set[socket.socket] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._server = ThreadingUnixStreamServer(str(self.path), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        """Stop serving, break the connections and remove the socket, as a dying agent does."""
        self._server.shutdown()
        self._server.server_close()
        for connection in tuple(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self.path.unlink(missing_ok=True)

    def note(self, call: Call) -> Answer:
        with self.changed:
            self.calls.append(call)
            self.changed.notify_all()
        if self.overrule is not None:
            answer = self.overrule(call)
            if not isinstance(answer, str):
                return answer
        return self._usual(call)

    def of(self, method: str, ending: str) -> list[Call]:
        """The calls of a method whose path ends so."""
        with self.changed:
            return [call for call in self.calls if call.method == method and call.path.endswith(ending)]

    def wait_for(self, method: str, ending: str, *, timeout: float = 30.0) -> Call:
        """Wait for the first call of a method whose path ends so."""
        with self.changed:
            found = self.changed.wait_for(lambda: self.of(method, ending), timeout)
        assert found, (
            f"no {method} …{ending} within {timeout:g} s, only {[c.method + ' ' + c.path for c in self.calls]}"
        )
        return found[0]

    def _usual(self, call: Call) -> Answer:
        if call.path.endswith("/run"):
            return 200, {
                **RUN_CONTEXT,
                "dag_run": {**RUN_CONTEXT["dag_run"], "run_id": self.run_id},
                "should_retry": self.should_retry,
            }
        if call.path.startswith("/xcoms/") and call.method == "POST":
            return 201, {"message": "XCom successfully set"}
        if call.path.endswith("/rtif"):
            return 201, {"message": "Rendered task instance fields successfully set"}
        return 204, None


def _handler(api: ExecutionApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            super().setup()
            api.connections.add(self.connection)

        def finish(self) -> None:
            api.connections.discard(self.connection)
            super().finish()

        def serve(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            raw = self.rfile.read(length)
            answer = api.note(
                Call(
                    at=time.monotonic(),
                    method=self.command,
                    path=unquote(urlsplit(self.path).path),
                    authorization=self.headers.get("authorization", ""),
                    body=json.loads(raw) if raw else None,
                )
            )
            if answer is None:
                self.close_connection = True
                return
            status, content = answer
            body = b"" if content is None else json.dumps(content).encode()
            self.send_response(status)
            if status != 204:
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = serve  # noqa: N815

        def address_string(self) -> str:
            return "unix"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
