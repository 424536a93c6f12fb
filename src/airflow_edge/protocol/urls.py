"""Where the gateway's endpoints are, for both sides."""

from __future__ import annotations

from ipaddress import ip_address
from urllib.parse import urlsplit, urlunsplit

PREFIX = "/edge_worker"
"""Where the gateway is mounted in Airflow's API server."""

LINK = "/v1/link"
POLL = "/v1/poll"
"""Where the link is made by long polling, see `protocol.polling`."""
ENROLL = "/v1/enroll"
HEALTH = "/v1/health"
EXECUTION = "/v1/execution"
"""The task's Execution API below the gateway."""

LONGEST_CALL = 64 * 1024 * 1024
"""Bytes of the longest body of a task's call, and of all of one worker's together that are in memory, at either end."""
SHORT_CALL = 64 * 1024
"""Bytes of a body that is not counted there: it never waits for a long one."""

JOB_HEADER = "X-Airflow-Edge-Job"
"""Names the assignment that an Execution API call is made for: `<job id>:<assignment>`."""
MARK_HEADER = "X-Airflow-Edge-Mark"
"""Carries the mark of the gateway's answer, see `protocol.tokens.answer_mark`."""
PASSED_ON_HEADER = "X-Airflow-Edge-Passed-On"
"""On the answer to a request of a link by long polling that has met another process than the one that has the link."""

_OLD_SUFFIXES = ("/v1/rpcapi", "/v1")


def gateway_url(api_url: str) -> str:
    """Give the gateway's base URL, without a slash at its end, for whatever form of `[edge] api_url` a person may
    have.

    Accepted are Airflow's base URL (`https://host/airflow`), the gateway's (`https://host/airflow/edge_worker`) and
    the old form (`https://host/airflow/edge_worker/v1/rpcapi`).

    :raises ValueError: it is not an absolute http(s) URL, or has a login in it; the text says so without that.
    """
    # Whatever it is: a text goes into logs, to the centre and onto terminals.
    shown = f"…@{api_url.rpartition('@')[2]}" if "@" in api_url else api_url
    try:
        parts = urlsplit(api_url.strip())
        possible = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        possible = False
    if not possible:
        raise ValueError(
            f"'{shown}' is not a URL of an Airflow API server; it has to look like https://airflow.example.org"
        )
    # Also in a path, where a password with a slash in it puts it.
    if shown != api_url:
        raise ValueError(
            f"the URL '{shown}' has a user or password in it, which nothing asks for: a worker signs what it says; "
            "leave out what is before the @, so that it looks like https://airflow.example.org"
        )
    path = parts.path.rstrip("/")
    for suffix in _OLD_SUFFIXES:
        path = path.removesuffix(suffix)
    if not path.endswith(PREFIX):
        path += PREFIX
    return urlunsplit((parts.scheme, parts.netloc, path, "", ""))


def unprotected(gateway: str) -> bool:
    """Whether what is said to a gateway leaves this machine without TLS.

    :param gateway: its base URL
    """
    parts = urlsplit(gateway)
    host = parts.hostname or ""
    try:
        here = ip_address(host).is_loopback
    except ValueError:
        here = host == "localhost" or host.endswith(".localhost")
    return parts.scheme == "http" and not here


def link_url(gateway: str) -> str:
    """Give the WebSocket URL of the link below a gateway's base URL."""
    return "ws" + gateway.removeprefix("http") + LINK


def poll_path(link: str) -> str:
    """Give the path, below a gateway's base URL, of a link by long polling."""
    return f"{POLL}/{link}"
