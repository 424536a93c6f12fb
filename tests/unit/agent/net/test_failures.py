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
def test_somebody_elses_page_means_a_wrong_url(status, body):
    error = refusal(status, body, GATEWAY)
    assert type(error) is errors.WrongUrlError
    assert GATEWAY in str(error)


@pytest.mark.parametrize("status", [502, 503, 504, 429])
def test_a_balancer_without_a_server_is_worth_another_attempt(status):
    assert type(refusal(status, b"<html>bad gateway", GATEWAY)) is errors.UnreachableError


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


def test_plain_http_where_tls_is_expected_is_a_wrong_url():
    broken = ssl.SSLError(1, "wrong version number")
    broken.reason = "WRONG_VERSION_NUMBER"
    assert type(transport_error(caused(httpcore.ConnectError(), broken), GATEWAY)) is errors.WrongUrlError


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


def test_what_does_not_speak_http_is_a_wrong_url_and_what_breaks_off_is_not():
    not_http = httpcore.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0-OpenSSH_9.2p1')")
    assert type(transport_error(not_http, GATEWAY)) is errors.WrongUrlError
    assert type(transport_error(caused(InvalidMessage(""), ValueError("HTTP/1.0")), GATEWAY)) is errors.WrongUrlError
    assert type(transport_error(caused(InvalidMessage(""), EOFError()), GATEWAY)) is errors.UnreachableError
