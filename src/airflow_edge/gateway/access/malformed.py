"""Bodies with which Airflow's Execution API would fail, or take long to say no: refused before it sees them."""

from __future__ import annotations

import asyncio
import json
import math
from http import HTTPStatus
from typing import Any, Final, NoReturn

from starlette.responses import JSONResponse, Response

from airflow_edge.gateway.access.routes import folder_of

REASON: Final = "malformed"
MOST_VALUES: Final = 20_000
"""In a body, those of `FREE_FORM` aside. Airflow writes an error for each that is none of the values it knows."""
FREE_FORM: Final = frozenset({"trigger_kwargs", "next_kwargs"})
"""Fields whose values are anybody's: Airflow looks at none of them."""
LONG: Final = 64 * 1024
"""Bytes of which a look is not worth a thread."""
_FOLDERS: Final = frozenset({"task-instances", "callbacks"})


async def refusal(method: str, path: str, body: bytes) -> Response | None:
    """Refuse a call that changes the state of its own task, where its body is not what JSON allows; None if it is.

    :param path: below the Execution API, decoded
    """
    if method != "PATCH" or folder_of(path) not in _FOLDERS:
        return None
    why = what_is_wrong(body) if len(body) <= LONG else await asyncio.to_thread(what_is_wrong, body)
    if not why:
        return None
    # As Airflow's own refusals look: the Task SDK shows its text to the task.
    return JSONResponse(
        {"detail": {"reason": REASON, "message": f"The call's body {why}."}}, HTTPStatus.UNPROCESSABLE_ENTITY
    )


def what_is_wrong(body: bytes) -> str:
    """Say why a body cannot be passed on; empty if it can (RFC 8259, and numbers and texts that others can read)."""
    try:
        found = json.loads(body.decode(), parse_constant=_no_number, parse_float=_number) if body else None
        json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        kind = "has half of a surrogate pair" if isinstance(error, UnicodeEncodeError) else "is no JSON"
        return f"{kind} ({str(error)[:100]})"
    if isinstance(found, dict):
        found = {name: value for name, value in found.items() if name not in FREE_FORM}
    return f"has more than {MOST_VALUES} values" if _has_many(found) else ""


def _has_many(found: Any) -> bool:
    """Count without recursion, and no further than that."""
    waiting, count = [found], 0
    while waiting and count <= MOST_VALUES:
        one = waiting.pop()
        inner = list(one.values()) if isinstance(one, dict) else one if isinstance(one, list) else []
        count += len(inner)
        waiting += inner
    return count > MOST_VALUES


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text[:40]} is too large a number")
    return number
