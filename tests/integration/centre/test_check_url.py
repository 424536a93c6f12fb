"""What `airflow edge check --api-url` makes of what answers there: with a site's trust, and not following anybody."""

from __future__ import annotations

import ssl
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import trustme

from airflow_edge.checking import centre as check
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER

HEALTHY = b'{"status": "healthy", "version": "7.0.0"}'


@contextmanager
def server(status: int, location: str = "", context: ssl.SSLContext | None = None, *, marks: bool = True):
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            if location:
                self.send_header("location", location)
            if marks:
                token = self.headers["authorization"].removeprefix("Bearer ")
                self.send_header(MARK_HEADER, answer_mark(token, status, HEALTHY))
            self.send_header("content-length", str(len(HEALTHY)))
            self.end_headers()
            self.wfile.write(HEALTHY)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        if context is not None:
            served.socket = context.wrap_socket(served.socket, server_side=True)
        thread = threading.Thread(target=served.serve_forever, args=(0.01,))
        thread.start()
        yield f"http{'s' if context else ''}://localhost:{served.server_port}"
        served.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("https://centre.example.org/edge_worker/v1/health", "use that URL: https://centre.example.org"),
        ("https://me:secret@portal.example.org/login?next=x", "it redirects to https://portal.example.org/login"),
        ("http://[bad", "it redirects to"),
    ],
)
def test_a_redirect_is_named_with_where_it_points(location, words):
    with server(301, location) as url:
        found = check._ask(url)
    assert found.outcome == "something else"
    assert words in found.detail
    assert "secret" not in found.detail


def test_an_authority_that_sites_are_told_to_trust_is_trusted_here(tmp_path, monkeypatch):
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    with server(200, context=context) as url:
        assert check._ask(url).outcome == "nothing"
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("AIRFLOW__EDGE__CA_FILE", str(tmp_path / "ca.pem"))
        assert check._ask(url).outcome == "healthy"


def test_a_proxy_that_takes_the_mark_away_is_found_before_a_worker_meets_it():
    with server(200) as url:
        assert check._ask(url).outcome == "healthy"
    with server(200, marks=False) as url:
        found = check._ask(url)
    assert found.outcome == "something else"
    assert MARK_HEADER in found.detail
