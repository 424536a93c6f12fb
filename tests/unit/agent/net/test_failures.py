from __future__ import annotations

import socket
import ssl

import httpcore
import msgspec
import pytest
from websockets.datastructures import Headers
from websockets.exceptions import InvalidMessage, InvalidProxyStatus
from websockets.http11 import Response

from airflow_edge.agent import errors
from airflow_edge.agent.net.failures import refusal, transport_error
from airflow_edge.protocol.problems import Code, Problem

GATEWAY = "https://centre/edge_worker"

CODES = {
    Code.API_NOT_ENABLED: errors.ApiNotEnabledError,
    Code.CLOCK_SKEW: errors.ClockError,
    Code.NOT_READY: errors.NotReadyError,
    Code.TOO_SLOW: errors.UnreachableError,
    Code.TOO_MANY: errors.UnreachableError,
    Code.UNKNOWN_ADDRESS: errors.WrongUrlError,
}


@pytest.mark.parametrize("code", Code)
def test_a_problem_of_the_gateway_is_told_in_its_own_words(code):
    body = msgspec.json.encode(Problem(status=400, code=code, detail="do this"))
    error = refusal(400, body, GATEWAY)
    assert type(error) is CODES.get(code, errors.RefusedError)
    assert "do this" in str(error)
    if isinstance(error, errors.RefusedError):
        assert error.code == code


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"detail": "Not Found"}', b"\xff", b"[]"])
@pytest.mark.parametrize("status", [200, 404, 405])
def test_an_answer_of_the_gateway_that_nobody_knows_is_one_of_another_version(status, body):
    error = refusal(status, body, GATEWAY)
    assert type(error) is errors.UnreachableError
    assert GATEWAY in str(error)
    assert "matching versions" in str(error)


def caused(outer: Exception, *causes: BaseException) -> Exception:
    error: BaseException = outer
    for cause in causes:
        error.__cause__ = cause
        error = cause
    return outer


def untrusted(code: int, message: str) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, message)
    error.verify_code, error.verify_message = code, message
    return error


@pytest.mark.parametrize(
    ("code", "advice"), [(18, "ca_file"), (20, "ca_file"), (62, "host name"), (10, "clock"), (99, "ca_file")]
)
def test_a_refused_certificate_says_what_to_do_about_it(code, advice):
    error = transport_error(caused(httpcore.ConnectError(), untrusted(code, "no")), GATEWAY)
    assert type(error) is errors.CertificateError
    assert advice in str(error)


def test_plain_http_where_tls_is_expected_is_somebody_else():
    broken = ssl.SSLError(1, "wrong version number")
    broken.reason = "WRONG_VERSION_NUMBER"
    assert type(transport_error(caused(httpcore.ConnectError(), broken), GATEWAY)) is errors.ForeignAnswerError


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (caused(httpcore.ConnectError(), OSError(), ConnectionRefusedError()), "refused"),
        (caused(httpcore.ConnectError(), ExceptionGroup("", [ConnectionRefusedError()])), "refused"),
        (caused(httpcore.ConnectError(), socket.gaierror(-2, "Name or service not known")), "host name"),
        (httpcore.ConnectTimeout(), "in time"),
        (httpcore.ProxyError("407 Proxy Authentication Required"), "user and password"),
        (httpcore.ProxyError("403 Forbidden"), "proxy"),
        (InvalidProxyStatus(Response(407, "", Headers())), "user and password"),
    ],
)
def test_no_connection_says_what_to_check(error, words):
    found = transport_error(error, GATEWAY)
    assert isinstance(found, errors.UnreachableError)
    assert words in str(found)


@pytest.mark.parametrize("error", [httpcore.ReadError(), httpcore.ReadTimeout(), httpcore.RemoteProtocolError("gone")])
def test_a_request_without_an_answer_may_have_been_delivered(error):
    found = transport_error(error, GATEWAY)
    assert isinstance(found, errors.UnreachableError)
    assert found.perhaps_delivered


@pytest.mark.parametrize("error", [httpcore.ConnectError(), httpcore.ConnectTimeout(), ConnectionRefusedError()])
def test_without_a_connection_nothing_was_delivered(error):
    found = transport_error(error, GATEWAY)
    assert isinstance(found, errors.UnreachableError)
    assert not found.perhaps_delivered


def test_what_does_not_speak_http_is_somebody_else_and_what_breaks_off_is_not():
    not_http = httpcore.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0-OpenSSH_9.2p1')")
    assert type(transport_error(not_http, GATEWAY)) is errors.ForeignAnswerError
    invalid = caused(InvalidMessage(""), ValueError("HTTP/1.0"))
    assert type(transport_error(invalid, GATEWAY)) is errors.ForeignAnswerError
    assert type(transport_error(caused(InvalidMessage(""), EOFError()), GATEWAY)) is errors.UnreachableError


PROXY = "http://somebody:hunter2@proxy.example.org:3128"


@pytest.mark.parametrize(
    "error",
    [
        caused(httpcore.ConnectError(), ConnectionRefusedError()),
        caused(httpcore.ConnectError(), socket.gaierror(-2, "Name or service not known")),
        httpcore.ConnectTimeout(),
        httpcore.ReadTimeout(),
        httpcore.ProxyError("407 Proxy Authentication Required"),
        httpcore.ProxyError("403 Forbidden"),
        InvalidProxyStatus(Response(407, "", Headers())),
        httpcore.ReadError(),
    ],
)
def test_a_proxy_that_fails_is_named_without_its_password(error):
    """As first-hour F9: 'nothing listens at http://airflow.example' was said of a proxy that was not there."""
    said = str(transport_error(error, GATEWAY, PROXY))
    assert "proxy http://proxy.example.org:3128" in said
    assert "hunter2" not in said
    assert "HTTPS_PROXY" in said or GATEWAY in said


@pytest.mark.parametrize(
    "reason", ["TLSV13_ALERT_CERTIFICATE_REQUIRED", "SSLV3_ALERT_HANDSHAKE_FAILURE", "TLSV1_ALERT_UNKNOWN_CA"]
)
def test_a_server_that_wants_a_client_certificate_is_understood(reason):
    alert = ssl.SSLError(1, "alert")
    alert.reason = reason
    found = transport_error(caused(httpcore.ReadError(), alert), GATEWAY)
    assert isinstance(found, errors.UnreachableError)
    assert "--client-cert" in str(found)


@pytest.mark.parametrize("error", [UnicodeError("label too long"), ValueError("what"), RuntimeError(), KeyError("x")])
def test_whatever_a_library_raises_has_words(error):
    found = transport_error(error, GATEWAY)
    assert isinstance(found, errors.UnreachableError)
    assert GATEWAY in str(found)
