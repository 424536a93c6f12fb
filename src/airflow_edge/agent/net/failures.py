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
    ForeignAnswerError,
    NotReadyError,
    RefusedError,
    UnreachableError,
    WrongUrlError,
    describe,
)
from airflow_edge.agent.net.foreign import WANTS_CERTIFICATE, address_of, printable
from airflow_edge.protocol.problems import Code, read_problem

_UNKNOWN_ISSUER = frozenset({18, 19, 20, 21})
"""X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT and its kin in OpenSSL's x509_vfy.h."""
_EXPIRED = 10
_HOST_MISMATCH = frozenset({62, 64})
_WANTS_CERTIFICATE = ("CERTIFICATE_REQUIRED", "HANDSHAKE_FAILURE", "ALERT_BAD_CERTIFICATE", "ALERT_UNKNOWN_CA")
"""Alerts (RFC 8446, 6.2) of a server that wants a certificate: 116, and what those before TLS 1.3 say instead."""


def transport_error(error: BaseException, gateway: str, proxy: str | None = None) -> AgentError:
    """Say what it means that no answer came from the gateway, given what httpcore, websockets or the socket raised.

    :param proxy: the URL of the proxy that was gone through
    """
    causes = list(_causes(error))
    meaning = _diagnose(error, causes, gateway, proxy)
    if isinstance(meaning, UnreachableError):
        never_sent = (
            *_of_httpcore("ConnectError", "ConnectTimeout", "PoolTimeout", "ProxyError"),
            ConnectionRefusedError,
            socket.gaierror,
        )
        meaning.perhaps_delivered = not any(isinstance(cause, never_sent) for cause in causes)
    return meaning


def refusal(status: int, body: bytes, gateway: str) -> AgentError:
    """Say what an answer of the gateway means that is not a success."""
    problem = read_problem(body)
    if problem is None:
        return UnreachableError(
            f"{gateway} gave an answer (status {status}) that this version of airflow-edge does not know; install "
            "matching versions of airflow-edge at both ends"
        )
    match problem.code:
        case Code.API_NOT_ENABLED:
            return ApiNotEnabledError(problem.detail)
        case Code.CLOCK_SKEW:
            return ClockError(problem.detail, problem.centre_time)
        case Code.NOT_READY:
            return NotReadyError(f"{gateway} is not ready: {problem.detail}", perhaps_delivered=False)
        case Code.TOO_SLOW | Code.TOO_MANY:
            return UnreachableError(f"{gateway} did not take the request: {problem.detail}", perhaps_delivered=False)
        case Code.UNKNOWN_ADDRESS:
            return WrongUrlError(f"{gateway} is not the gateway's address: {problem.detail}")
        case _:
            return RefusedError(problem.detail, problem.code)


def _diagnose(error: BaseException, causes: list[BaseException], gateway: str, proxy: str | None) -> AgentError:
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _certificate_error(cause, gateway)
    for cause in causes:
        if isinstance(cause, (*_of_httpcore("ProxyError"), ProxyError)):
            return _proxy_error(cause, proxy)
        if isinstance(cause, ssl.SSLError) and cause.reason in {"WRONG_VERSION_NUMBER", "HTTP_REQUEST"}:
            return ForeignAnswerError(
                f"what answers at {gateway} does not speak TLS; if that is right, the URL begins with http://"
            )
        if isinstance(cause, ssl.SSLError) and any(words in str(cause.reason) for words in _WANTS_CERTIFICATE):
            return UnreachableError(
                f"the server at {gateway} has broken off the TLS handshake ({cause.reason}): {WANTS_CERTIFICATE}"
            )
        if _speaks_something_else(cause):
            return ForeignAnswerError(f"what answers at {gateway} does not speak HTTP/1.1; check host and port")
        if isinstance(cause, UnicodeError):
            return UnreachableError(f"the host name in {gateway} cannot be one ({cause}); check the URL")
    # Through a proxy, only the proxy's own name is looked up here, and only to the proxy a connection is made.
    place = f"the proxy {address_of(proxy)}" if proxy else gateway
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            advice = (
                "check HTTPS_PROXY"
                if proxy
                else "check the URL, DNS, and whether this site needs a proxy (HTTPS_PROXY)"
            )
            return UnreachableError(f"the host name in {place} is not known here ({cause.strerror}); {advice}")
        if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
            return UnreachableError(f"no connection to {gateway} can be made: {describe(cause)}")
        if isinstance(cause, ConnectionRefusedError):
            advice = "check HTTPS_PROXY" if proxy else "check host and port, and whether the API server runs"
            return UnreachableError(f"nothing listens at {place} (connection refused); {advice}")
        if isinstance(cause, (*_of_httpcore("TimeoutException"), TimeoutError)):
            if proxy:
                return UnreachableError(
                    f"{gateway} did not answer in time through {place}; check HTTPS_PROXY, NO_PROXY, and whether the "
                    "proxy lets this host through"
                )
            return UnreachableError(
                f"{gateway} did not answer in time; check the URL, firewalls, and whether this site needs a proxy "
                "(HTTPS_PROXY)"
            )
    words = printable(str(error), 200) or type(error).__name__
    through = f" through {place}" if proxy else ""
    # Under TLS 1.3 the alert that would say so comes late, and a reset may overtake it.
    wanted = (
        ", and whether the server wants a client certificate (--client-cert)" if gateway.startswith("https:") else ""
    )
    return UnreachableError(
        f"the connection to {gateway}{through} failed: {words}; check the URL and the network{wanted}"
    )


def _of_httpcore(*names: str) -> tuple[type[BaseException], ...]:
    """Give these of its exceptions; none as long as nothing has needed it, which takes up 3 MB."""
    library = sys.modules.get("httpcore")
    return tuple(getattr(library, name) for name in names) if library else ()


def _speaks_something_else(error: BaseException) -> bool:
    if isinstance(error, InvalidMessage):
        # An answer that breaks off is invalid too, and may be complete the next time.
        return not isinstance(error.__cause__, EOFError | OSError)
    return isinstance(error, _of_httpcore("RemoteProtocolError")) and "illegal status line" in str(error)


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


def _proxy_error(error: BaseException, proxy: str | None) -> UnreachableError:
    if isinstance(error, InvalidProxyStatus):
        status = error.response.status_code
        reason = str(status)
    else:
        reason = printable(str(error))
        status = int(reason[:3]) if reason[:3].isdigit() else 0
    name = f"the proxy {address_of(proxy)}" if proxy else "the proxy"
    if status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED:
        return UnreachableError(
            f"{name} wants another user and password (it answered: 407); set HTTPS_PROXY to "
            "http://user:password@host:port"
        )
    return UnreachableError(
        f"{name} did not connect to the centre (it answered: {reason}); check the URL, HTTPS_PROXY and NO_PROXY, "
        "and whether the proxy lets this host through"
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
