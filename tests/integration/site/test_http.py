"""The client for HTTPS calls, against a real server."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import aclosing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

import pytest

from airflow_edge.agent.errors import ForeignAnswerError, UnreachableError
from airflow_edge.agent.net.http import HttpClient
from airflow_edge.agent.net.identity import PendingKey
from airflow_edge.gateway.access.authentication import read_claims
from airflow_edge.protocol.tokens import answer_mark
from airflow_edge.protocol.urls import MARK_HEADER


@pytest.fixture
def signer(tmp_path):
    return PendingKey.load_or_generate(tmp_path / "key", "press")


@pytest.fixture
def echo():
    """A server that answers with what it got, and by which connection."""

    class Echo(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            length = int(self.headers.get("content-length") or 0)
            got = {
                "method": self.command,
                "path": self.path,
                "headers": {name.lower(): value for name, value in self.headers.items()},
                "body": self.rfile.read(length).decode(),
                "peer": self.client_address[1],
            }
            body = json.dumps(got).encode()
            self.send_response(201)
            token = self.headers["authorization"].removeprefix("Bearer ")
            self.send_header(MARK_HEADER, answer_mark(token, 201, body))
            self.send_header("X-Thing", "some thing")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = answer  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/edge_worker"
        server.shutdown()
        thread.join()


async def test_a_call_arrives_as_it_was_made_and_is_answered(echo, signer):
    async with aclosing(HttpClient(echo, signer)) as client:
        response = await client.request(
            "PATCH", "/v1/execution/a%20b", query="x=1&y=%2F", headers={"X-Job": "7"}, body="größe".encode()
        )
    got = json.loads(response.body)
    assert (response.status, response.headers["x-thing"]) == (201, "some thing")
    assert (got["method"], got["path"], got["body"]) == (
        "PATCH",
        "/edge_worker/v1/execution/a%20b?x=1&y=%2F",
        "größe",
    )
    assert got["headers"]["x-job"] == "7"
    claims = read_claims(got["headers"]["authorization"].removeprefix("Bearer "))
    assert (claims.htm, claims.htu) == ("PATCH", "/v1/execution/a b")


@pytest.mark.parametrize(
    "path", ["/v1/x/semi;colon", "/v1/a;b/c;d=1", "/v1//x//", "/v1/;", "/v1/a%2Fb%3Bc", "/v1/@:[]!$&'()*+,=~"]
)
@pytest.mark.parametrize("query", ["", "x=1;y=2", "?", "x=/;"])
async def test_what_is_sent_is_what_was_signed(echo, signer, path, query):
    async with aclosing(HttpClient(echo, signer)) as client:
        got = json.loads((await client.request("GET", path, query=query)).body)
    assert got["path"] == f"/edge_worker{path}" + (f"?{query}" if query else "")
    assert read_claims(got["headers"]["authorization"].removeprefix("Bearer ")).htu == unquote(path)


async def test_calls_share_a_connection_and_no_token(echo, signer):
    async with aclosing(HttpClient(echo, signer)) as client:
        answers = [json.loads((await client.request("GET", "/v1/health")).body) for _ in range(3)]
    assert len({answer["peer"] for answer in answers}) == 1
    assert len({answer["headers"]["authorization"] for answer in answers}) == 3


async def test_a_big_body_passes_both_ways(echo, signer):
    async with aclosing(HttpClient(echo, signer)) as client:
        response = await client.request("POST", "/v1/x", body=b"x" * 6_000_000)
    assert len(json.loads(response.body)["body"]) == 6_000_000


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"])
async def test_an_answer_that_breaks_off_may_have_been_acted_upon(signer, said):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def hang_up() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(said)

        thread = threading.Thread(target=hang_up)
        thread.start()
        async with aclosing(HttpClient(f"http://127.0.0.1:{listener.getsockname()[1]}/edge_worker", signer)) as client:
            with pytest.raises(UnreachableError) as caught:
                await client.request("GET", "/v1/health")
        thread.join()
    assert caught.value.perhaps_delivered


async def test_a_server_that_does_not_answer_is_given_up(signer):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        async with aclosing(HttpClient(f"http://127.0.0.1:{silent.getsockname()[1]}/edge_worker", signer)) as client:
            with pytest.raises(UnreachableError, match="in time"):
                await client.request("GET", "/v1/health", patience=0.05)


async def test_what_does_not_speak_http_is_not_the_gateway(signer):
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(b"+OK ready\r\n\r\n")
                connection.recv(65536)

        thread = threading.Thread(target=greet)
        thread.start()
        async with aclosing(HttpClient(f"http://127.0.0.1:{listener.getsockname()[1]}/edge_worker", signer)) as client:
            with pytest.raises(ForeignAnswerError, match="does not speak HTTP"):
                await client.request("GET", "/v1/health")
        thread.join()
