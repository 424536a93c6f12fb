"""What a failed attempt to talk to the centre means, in words that say what to do. For HTTPS and the link alike."""

from __future__ import annotations

import errno
import socket
import ssl
import sys
from collections.abc import Iterator
from http import HTTPStatus

from websockets.exceptions import InvalidMessage, InvalidProxyStatus, ProxyError

from airflow_edge.agent.errors import (
    AgentError,
    ApiNotEnabledError,
    CertificateError,
    ClockError,
    NotReadyError,
    RefusedError,
    UnreachableError,
    WrongUrlError,
    describe,
)
from airflow_edge.protocol.problems import Code, read_problem

NOBODY_BEHIND = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.GATEWAY_TIMEOUT})
"""What a proxy or load balancer answers that finds no API server behind it."""
IN_BETWEEN = NOBODY_BEHIND | {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS}
"""What somebody between site and centre answers for reasons that pass."""
_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its kin in OpenSSL's x509_vfy.h."""
_EXPIRED = 10
_HOST_MISMATCH = frozenset({62, 64})


def transport_error(error: BaseException, gateway: str) -> AgentError:
    """Say what it means that no answer came from the gateway, given what httpcore, websockets or the socket raised."""
    causes = list(_causes(error))
    meaning = _diagnose(error, causes, gateway)
    if isinstance(meaning, UnreachableError):
        never_sent = (
            *_of_httpcore("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"),
            ConnectionRefusedError,
            socket.gaierror,
        )
        meaning.perhaps_delivered = not any(isinstance(cause, never_sent) for cause in causes)
    return meaning


def refusal(status: int, body: bytes, gateway: str) -> AgentError:
    """Say what an answer means that is not a success: a `Problem` of the gateway, or somebody else's page."""
    problem = read_problem(body)
    if problem is None:
        return _foreign_answer(status, gateway)
    match problem.code:
        case Code.API_NOT_ENABLED:
            return ApiNotEnabledError(problem.detail)
        case Code.CLOCK_SKEW:
            return ClockError(problem.detail, problem.centre_time)
        case Code.NOT_READY:
            return NotReadyError(f"{gateway} is not ready: {problem.detail}", perhaps_delivered=False)
        case _:
            return RefusedError(problem.detail, problem.code)


def _diagnose(error: BaseException, causes: list[BaseException], gateway: str) -> AgentError:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_error(cause, gateway)
    for cause in causes:
        if isinstance(cause, (*_of_httpcore("ProxyError"), ProxyError)):
            return _proxy_error(cause)
        if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
            return WrongUrlError(
                f"what answers at {gateway} does not speak TLS; if that is right, the URL begins with http://"
            )
        if _speaks_something_else(cause):
            return WrongUrlError(f"what answers at {gateway} does not speak HTTP/1.1; check host and port")
        if isinstance(cause, socket.gaierror):
            return UnreachableError(
                f"the host name in {gateway} is not known here ({cause.strerror}); check the URL, DNS, and whether "
                "this site needs a proxy (HTTPS_PROXY)"
            )
    for cause in causes:
        if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
            return UnreachableError(f"no connection to {gateway} can be made: {describe(cause)}")
        if isinstance(cause, ConnectionRefusedError):
            return UnreachableError(
                f"nothing listens at {gateway} (connection refused); check host and port, and whether the API server "
                "runs"
            )
        if isinstance(cause, (*_of_httpcore("TimeoutException"), TimeoutError)):
            return UnreachableError(
                f"{gateway} did not answer in time; check the URL, firewalls, and whether this site needs a proxy "
                "(HTTPS_PROXY)"
            )
    words = str(error) or type(error).__name__
    return UnreachableError(f"the connection to {gateway} failed: {words}; check the URL and the network")


def _of_httpcore(*names: str) -> tuple[type[BaseException], ...]:
    """Give these of its exceptions; none as long as nothing has needed it, which takes up 3 MB."""
    library = sys.modules.get("httpcore")
    return tuple(getattr(library, name) for name in names) if library else ()


def _speaks_something_else(error: BaseException) -> bool:
    if isinstance(error, InvalidMessage):
        # An answer that breaks off is invalid too, and may be complete the next time.
        return not isinstance(error.__cause__, EOFError | OSError)
    return isinstance(error, _of_httpcore("RemoteProtocolError")) and "illegal status line" in str(error)


def _foreign_answer(status: int, gateway: str) -> AgentError:
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _bad_proxy_login()
    if status in IN_BETWEEN:
        return UnreachableError(
            f"what stands before the API server at {gateway} answered {status}: the API server may be starting or down"
        )
    return WrongUrlError(
        f"{gateway} is not the gateway of an Airflow API server with airflow-edge (the answer has status {status}); "
        "check the URL, the path of [api] base_url included, and that airflow-edge[server] is installed there"
    )


def _certificate_error(error: ssl.SSLCertVerificationError, gateway: str) -> CertificateError:
    if error.verify_code in _UNKNOWN_ISSUER:
        advice = (
            "if the centre has a private certificate authority, name its PEM file with ca_file "
            "(--ca-file, AIRFLOW__EDGE__CA_FILE or [edge] ca_file)"
        )
    elif error.verify_code in _HOST_MISMATCH:
        advice = "use the host name that the certificate was issued for"
    elif error.verify_code == _EXPIRED:
        advice = "renew it, or set the clock of this machine right"
    else:
        advice = "check the certificate and ca_file (--ca-file, AIRFLOW__EDGE__CA_FILE or [edge] ca_file)"
    return CertificateError(f"the certificate of {gateway} is not trusted: {error.verify_message}; {advice}")


def _proxy_error(error: BaseException) -> UnreachableError:
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        reason = str(status)
    else:
        reason = str(error)
        status = int(reason[:3]) if reason[:3].isdigit() else 0
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return _bad_proxy_login()
    return UnreachableError(
        f"the proxy did not connect to the centre (it answered: {reason}); check the URL, HTTPS_PROXY and NO_PROXY, "
        "and whether the proxy lets this host through"
    )


def _bad_proxy_login() -> UnreachableError:
    return UnreachableError(
        "the proxy wants another user and password (it answered: 407); set HTTPS_PROXY to http://user:password@host:port"
    )


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, BaseExceptionGroup):
            waiting.extend(cause.exceptions)
        waiting.extend(next_ for next_ in (cause.__cause__, cause.__context__) if next_ is not None)
