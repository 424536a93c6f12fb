from __future__ import annotations

import pytest

from airflow_edge.agent.errors import ForeignAnswerError
from airflow_edge.agent.net.foreign import LONGEST_RETRY_AFTER, foreign_answer

GATEWAY = "http://centre/edge_worker"
NGINX_404 = b"<html><head><title>404 Not\n Found</title></head></html>"


def said(
    status: int = 200, body: bytes = b"", sent: int = 0, path: str = "/v1/link", **headers: str
) -> ForeignAnswerError:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return foreign_answer(status, fields, body, gateway=GATEWAY, path=path, sent=sent)


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_is_worth_another_attempt_and_says_what_was_answered(status):
    error = said(status, NGINX_404, server="nginx/1.22.1")
    assert error.status == status
    assert error.perhaps_delivered
    if status != 407:
        assert f"before the centre at {GATEWAY} answers {status} (server: nginx/1.22.1, '404 Not Found')" in str(error)


def test_what_has_no_title_is_quoted():
    error = said(404, b'{"message":"no Route matched with those values"}', content_type="application/json")
    assert "no Route matched" in str(error)


@pytest.mark.parametrize("status", [404, 405])
def test_a_path_of_airflows_own_server_is_a_wrong_url_and_nobody_in_between(status):
    error = said(status, b'{"detail":"Method Not Allowed"}', server="uvicorn", content_type="application/json")
    assert str(error).startswith(f"{GATEWAY} is not the gateway's address (status {status}")
    assert error.perhaps_delivered


def test_what_a_stranger_writes_cannot_break_a_line_or_flood_it():
    error = said(404, b"<title>a\r\n\x1b[31mb\x00" + b"c" * 5000 + b"</title>", server="x\ty" * 500)
    assert str(error).isprintable()
    assert len(str(error)) < 700


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://centre/edge_worker/v1/link", "enrol again with https://centre,"),
        ("https://centre/airflow/edge_worker/v1/link", "enrol again with https://centre/airflow,"),
        ("//other/edge_worker/v1/link", "enrol again with http://other,"),
        ("https://portal/login?token=secret", "redirects to https://portal/login, which is not the gateway"),
        ("/login", "redirects to http://centre/login, which"),
        ("http://me:secret@portal/", "redirects to http://portal/, which"),
        ("ws://[bad", "redirects to ws://[bad, which"),
        ("https://x/\x85\xff", "redirects to https://x/"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_named_with_where_it_points(status, location, words):
    error = said(status, location=location)
    assert words in str(error)
    assert "api_url" in str(error)
    assert "secret" not in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "body", [b"<center>No required SSL certificate was sent</center>", b"The SSL certificate error"]
)
def test_a_proxy_that_wants_a_client_certificate_is_understood(body):
    assert "--client-cert" in str(said(400, body))


def test_what_is_too_large_is_told_with_its_size():
    assert "2000000 bytes" in str(said(413, sent=2_000_000))


def test_the_gateways_words_without_its_mark_point_at_who_takes_it_away():
    error = said(401, b'{"status": 401, "code": "bad_token", "detail": "every request needs a token"}')
    assert "Authorization" in str(error)
    assert "every request needs a token" in str(error)


def test_an_answer_with_a_wrong_mark_was_changed_or_is_another_requests():
    assert "changed or cut off" in str(said(200, x_airflow_edge_mark="x"))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("3", 3),
        (" 7 ", 7),
        ("99999999999999999999", LONGEST_RETRY_AFTER),
        ("-1", 0),
        ("soon", 0),
        ("٣", 0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wed, 21 Oct 2199 07:28:00 GMT", LONGEST_RETRY_AFTER),
        ("Wed, 99 Oct 2199 07:28:00 GMT", 0),
    ],
)
def test_retry_after_is_read_and_bounded(text, seconds):
    assert said(429, retry_after=text).retry_after == seconds
