"""Answers of somebody who is not the gateway, in words: who it is, what was said, and what to do about it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import urljoin, urlsplit, urlunsplit

from airflow_edge.agent.errors import ForeignAnswerError
from airflow_edge.protocol.problems import read_problem
from airflow_edge.protocol.urls import MARK_HEADER, PREFIX

NOBODY_BEHIND = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""What a proxy or load balancer answers that finds no API server behind it."""
IN_BETWEEN = NOBODY_BEHIND | {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What somebody between site and centre answers for reasons that pass."""
TOO_LARGE = frozenset(
    {
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        HTTPStatus.REQUEST_URI_TOO_LONG,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    }
)
"""What somebody answers whom this very request will never pass."""

LONGEST_RETRY_AFTER = 60.0
"""Seconds that are waited at most because somebody asked for it."""
LONGEST_QUOTE = 80
_TITLE = re.compile(rb"<title[^>]*>(.*?)</title", re.IGNORECASE | re.DOTALL)
_SEARCHED = 16 * 1024
"""Bytes of a page in which its title is looked for."""
_REDIRECTS = range(300, 400)
_NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})
_AIRFLOWS_SERVER = "uvicorn"
"""What Airflow's API server calls itself: a path of it that leads nowhere is nobody's in between."""
_WANTS_CERTIFICATE = (b"No required SSL certificate was sent", b"The SSL certificate error")
"""What nginx says, with status 400."""

WANTS_CERTIFICATE = (
    "it wants a client certificate: name it and its key with --client-cert and --client-key (or [edge] client_cert "
    "and client_key)"
)


def foreign_answer(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    gateway: str,
    path: str,
    sent: int = 0,
    proxy: str | None = None,
) -> ForeignAnswerError:
    """Say what it means that this came in place of the gateway's answer.

    :param headers: with names in lower case
    :param path: below the gateway, of the request; `sent`: the bytes of its body
    :param proxy: the URL of the proxy that was gone through, who may be the one that has answered
    """
    place = f"{gateway} (through the proxy {address_of(proxy)})" if proxy else gateway
    problem = read_problem(body)
    location = headers.get("location", "").strip()
    if MARK_HEADER.lower() in headers:
        words = (
            f"the answer from {place} (status {status}{_and_who(headers, b'')}) is not what the gateway sent: it was "
            "changed or cut off on the way, or is kept from another request; switch off what changes or caches answers"
        )
    elif status in _REDIRECTS and location:
        words = _redirect(gateway, path, location)
    elif status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        words = (
            f"the proxy {address_of(proxy) if proxy else ''} wants another user and password (it answered: 407); set "
            "HTTPS_PROXY (HTTP_PROXY for an http: URL) to http://user:password@host:port"
        )
    elif problem is not None:
        words = (
            f"what answers at {place} (status {status}: {_quoted(problem.detail)}) does so without the gateway's "
            "mark; a proxy that takes the header Authorization away, or headers from answers, has to leave them"
        )
    elif status in _NOT_THERE and headers.get("server") == _AIRFLOWS_SERVER:
        words = (
            f"{place} is not the gateway's address (status {status}{_and_who(headers, body)}); check the URL, the "
            "path of [api] base_url included, and that airflow-edge[server] is installed there"
        )
    else:
        words = (
            f"something before the centre at {place} answers {status}{_and_who(headers, body)} in its place: "
            f"{_advice(status, headers, body, sent)}"
        )
    return ForeignAnswerError(words, status, retry_after=_retry_after(headers.get("retry-after", "")))


def address_of(proxy: str) -> str:
    """Give a proxy's URL without its login."""
    parts = urlsplit(proxy)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def _advice(status: int, headers: Mapping[str, str], body: bytes, sent: int) -> str:
    if any(words in body for words in _WANTS_CERTIFICATE):
        return WANTS_CERTIFICATE
    if status in NOBODY_BEHIND:
        return "the API server may be starting or down"
    if status in TOO_LARGE:
        return (
            f"it lets no such request through (a body of {sent} bytes); raise its limit (nginx: client_max_body_size, "
            "large_client_header_buffers)"
        )
    match status:
        case HTTPStatus.TOO_MANY_REQUESTS | HTTPStatus.REQUEST_TIMEOUT:
            return f"it limits requests; have it let {PREFIX} through, or raise its limit"
        case HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
            return "this network wants somebody to sign in first; have it let this machine through"
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return f"a firewall or sign-in refuses the request; have it let {PREFIX} through"
    if status < HTTPStatus.MULTIPLE_CHOICES and "html" in headers.get("content-type", "html"):
        return (
            "it is a page for people, perhaps to sign in; have this machine let through, and check the URL, the path "
            "of [api] base_url included, and that airflow-edge[server] is installed there"
        )
    return (
        "it is not the gateway of an Airflow API server with airflow-edge; check the URL, the path of [api] base_url "
        "included, and that airflow-edge[server] is installed there"
    )


def _redirect(gateway: str, path: str, location: str) -> str:
    """Say where a redirect leads. It is never followed: the token is for the address that it was signed for."""
    try:
        parts = urlsplit(urljoin(gateway + path, location))
        target = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    except ValueError:
        target = location
    shown = printable(target, 200)
    own = PREFIX + path
    if target.startswith(("http://", "https://")) and target.endswith(own) and target != gateway + path:
        url = printable(target.removesuffix(own), 200)
        return (
            f"{gateway} redirects to {shown}; use that URL: enrol again with {url}, or set [edge] api_url "
            f"(AIRFLOW__EDGE__API_URL) to it"
        )
    return (
        f"{gateway} redirects to {shown}, which is not the gateway: perhaps a page to sign in; have this machine let "
        f"through to {PREFIX}, or use another URL ([edge] api_url)"
    )


def _and_who(headers: Mapping[str, str], body: bytes) -> str:
    """Say who it is, as far as he says so."""
    named = [f"server: {printable(headers['server'])}"] if headers.get("server") else []
    if title := _TITLE.search(body[:_SEARCHED]):
        named.append(_quoted(title[1].decode("utf-8", "replace")))
    elif body and "html" not in headers.get("content-type", "") and not body.lstrip().startswith(b"<"):
        named.append(_quoted(body[: 4 * LONGEST_QUOTE].decode("utf-8", "replace")))
    return f" ({', '.join(named)})" if named else ""


def _quoted(text: str) -> str:
    return f"'{printable(text)}'"


def printable(text: str, most: int = LONGEST_QUOTE) -> str:
    """Give what a stranger wrote, fit for a line of a log."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(line.split())
    return line if len(line) <= most else f"{line[:most]}…"


def _retry_after(text: str) -> float:
    """Read the header (RFC 9110, 10.2.3): seconds, or a date."""
    text = text.strip()
    if not text:
        return 0.0
    if text.isascii() and text.isdecimal():
        seconds = float(text[:9])
    else:
        # Hardly anybody sends a date, and reading one takes a package to load.
        from email.utils import parsedate_to_datetime

        try:
            when = parsedate_to_datetime(text)
            seconds = when.timestamp() - time.time()
        except (ValueError, TypeError, OverflowError, OSError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)
