"""Says in each answer how many statements the database was asked meanwhile: `X-Statements`. Airflow loads it."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from airflow.plugins_manager import AirflowPlugin
from sqlalchemy import Engine, event

_asked: ContextVar[list[str] | None] = ContextVar("asked", default=None)


def _note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
    asked = _asked.get()
    # Whether a login was revoked is asked by Airflow, of each of its own requests too.
    if asked is not None and "revoked_token" not in statement:
        asked.append(statement)


class CountStatements:
    """Counts what is asked while one request is answered, in whichever thread."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        asked: list[str] = []
        _asked.set(asked)

        async def count(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"x-statements", str(len(asked)).encode())]
            await send(message)

        await self.app(scope, receive, count)


MIDDLEWARES = [{"middleware": CountStatements, "args": [], "kwargs": {}, "name": "statements"}]


class StatementsPlugin(AirflowPlugin):
    name = "statements"
    fastapi_root_middlewares = MIDDLEWARES

    @classmethod
    def on_load(cls, *_: Any, **__: Any) -> None:
        if not event.contains(Engine, "before_cursor_execute", _note):
            event.listen(Engine, "before_cursor_execute", _note)
