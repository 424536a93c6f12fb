"""The OpenAPI document of the gateway's HTTP endpoints. The link's messages are documented with the protocol."""

from __future__ import annotations

import json
from inspect import cleandoc
from typing import Any, Final
from uuid import UUID

import msgspec

from airflow_edge import __version__
from airflow_edge.protocol.polling import CONTENT_TYPE
from airflow_edge.protocol.problems import Code, EnrollReply, EnrollRequest, Problem, title_of
from airflow_edge.protocol.urls import ENROLL, EXECUTION, HEALTH, JOB_HEADER, LINK, MARK_HEADER, POLL, PREFIX, poll_path

_REFERENCE: Final = "#/components/schemas/{name}"
_METHODS: Final = ("get", "head", "put", "post", "patch", "delete")


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether workers are served."""

    status: str
    """`healthy` or `not_ready`."""
    version: str
    """Of airflow-edge."""
    airflow_version: str
    minimum_worker_version: str | None = None
    """The lowest version of airflow-edge with which a worker is given jobs; absent where any is."""
    minimum_airflow_version: str | None = None
    """The same of Airflow."""
    detail: str | None = None
    """What to do, where it is not ready; else what has failed lately in this process, if anything has."""
    gateway: UUID | None = None
    """By which its database knows this process: another Airflow's does not."""


def document() -> str:
    """Give the document as JSON text, the same for the same code; needs neither Airflow nor a database."""
    return json.dumps(_document(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _document() -> dict[str, Any]:
    _, components = msgspec.json.schema_components(
        [EnrollRequest, EnrollReply, Problem, Health], ref_template=_REFERENCE
    )
    components["Problem"]["properties"]["code"]["enum"] = sorted(Code)
    # Python takes the indentation out of docstrings only from 3.13 on.
    for schema in (components, *(component.get("properties", {}) for component in components.values())):
        for part in schema.values():
            if "description" in part:
                part["description"] = cleandoc(part["description"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "airflow-edge gateway",
            "version": __version__,
            "description": (
                f"What a worker calls at the centre, in Airflow's API server under `{PREFIX}`. Every error is a "
                "`Problem`, whose `detail` says what to do; while `[edge] api_enabled` is off, everything is answered "
                f"with one. Every answer to a request with a worker's token carries a mark in `{MARK_HEADER}`."
            ),
        },
        "servers": [{"url": PREFIX}],
        "security": [{"worker": []}],
        "paths": {
            HEALTH: {"get": _health()},
            ENROLL: {"post": _enroll()},
            LINK: {"get": _link()},
            POLL: {"post": _poll("poll_open", "Link to the centre by long polling: say Hello")},
            poll_path("{link}"): {
                "post": _poll(
                    "poll",
                    "Send frames up such a link, or, without any, wait for the centre's",
                    parameters=[
                        _parameter("link", "path", "As the answer to the Hello names it.", pattern="^[0-9a-f]{32}$")
                    ],
                )
            },
            f"{EXECUTION}/{{path}}": {method: _execution(method) for method in _METHODS},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "worker": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": (
                        "A JWS in compact form, signed with the worker's Ed25519 key, good for one request within a "
                        "minute: its claims name the worker (`sub`), the audience `airflow-edge` (`aud`), the method "
                        "(`htm`), the path below the gateway (`htu`), its times (`iat`, `exp`) and a random id (`jti`)."
                    ),
                }
            },
        },
    }


def _health() -> dict[str, Any]:
    not_now = _content("application/json", "Health") | _content("application/problem+json", "Problem")
    return _operation(
        "health",
        "Whether workers are served",
        {
            "200": _json("They are.", "Health"),
            "503": {"description": "Not now: the gateway is not ready, or is not enabled.", "content": not_now},
        },
        security=[],
    )


def _enroll() -> dict[str, Any]:
    return _operation(
        "enroll",
        "Become a worker",
        {"200": _json("The machine is a worker now.", "EnrollReply"), **_problems(400, 401, 403, 409, 413, 503)},
        description="The token in the header is signed with the new key; its `sub` is `enrol`.",
        requestBody={"required": True, "content": _content("application/json", "EnrollRequest")},
    )


def _link() -> dict[str, Any]:
    follows = {"description": "The link's messages follow, in binary frames of MessagePack."}
    return _operation("link", "Link to the centre (WebSocket)", {"101": follows, **_problems(401, 403, 426, 503)})


def _poll(name: str, summary: str, **more: Any) -> dict[str, Any]:
    binary = {CONTENT_TYPE: {"schema": {"type": "string", "format": "binary"}}}
    frames = {"description": "The centre's frames.", "content": binary}
    return _operation(
        name,
        summary,
        {"200": frames, **_problems(400, 401, 403, 413, 421, 503)},
        description="Bodies are MessagePack. For where WebSockets do not get through.",
        requestBody={"required": False, "content": binary},
        **more,
    )


def _execution(method: str) -> dict[str, Any]:
    answers = {"default": {"description": "What Airflow's Execution API answers."}}
    job = "The job that the call is made for: its id and its assignment's number."
    return _operation(
        f"execution_{method}",
        "Call Airflow's Execution API for a job that this worker holds",
        {**_problems(400, 401, 403, 409, 413, 503), **answers},
        description="Passed on as it is; what Airflow answers is answered, without any token.",
        parameters=[
            _parameter("path", "path", "A path of Airflow's Execution API, slashes included."),
            _parameter(JOB_HEADER, "header", job, pattern=r"^[0-9a-f-]{36}:[0-9]+$"),
        ],
    )


def _operation(name: str, summary: str, responses: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"operationId": name, "summary": summary, "responses": responses, **more}


def _parameter(name: str, place: str, description: str, **schema: str) -> dict[str, Any]:
    rest = {"required": True, "description": description, "schema": {"type": "string", **schema}}
    return {"name": name, "in": place, **rest}


def _problems(*statuses: int) -> dict[str, Any]:
    content = _content("application/problem+json", "Problem")
    return {str(status): {"description": title_of(status), "content": content} for status in statuses}


def _json(description: str, schema: str) -> dict[str, Any]:
    return {"description": description, "content": _content("application/json", schema)}


def _content(media_type: str, schema: str) -> dict[str, Any]:
    return {media_type: {"schema": {"$ref": _REFERENCE.format(name=schema)}}}
