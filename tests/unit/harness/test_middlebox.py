"""What a client sees through the middlebox, and what its server hears of it."""

from __future__ import annotations

import random
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from harness.client import NO_CAS
from harness.middlebox import Interference, Middlebox, Moment, answer, page, said_by_chance


@pytest.fixture
def heard():
    return []


@pytest.fixture
def box(heard):
    class Server(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            heard.append(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "4")
            self.end_headers()
            self.wfile.write(b"well")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        with Middlebox(f"http://127.0.0.1:{server.server_port}") as box:
            yield box
        server.shutdown()
        thread.join()


def post(box: Middlebox, client: httpx.Client) -> httpx.Response:
    return client.post(box.url, content=b"hello")


@pytest.fixture
def client():
    # After what it says itself the middlebox hangs up, which a connection that is kept would learn of too late.
    with httpx.Client(trust_env=False, verify=NO_CAS, headers={"Connection": "close"}) as client:
        yield client


def test_it_passes_on_until_it_is_told_otherwise(box, client, heard):
    assert [post(box, client).text for _ in range(3)] == ["well"] * 3
    assert heard == [b"hello"] * 3
    assert box.interfered == []


@pytest.mark.parametrize(("moment", "times"), [(Moment.BEFORE, 0), (Moment.AFTER, 1)])
def test_it_answers_in_the_servers_place(box, client, heard, moment, times):
    box.interfere(lambda request: Interference(moment, page(404, "mine")))
    given = post(box, client)
    assert (given.status_code, "mine" in given.text) == (404, True)
    assert len(heard) == times
    assert box.interfered == ["POST / HTTP/1.1"]
    box.restore()
    assert post(box, client).text == "well"


def test_it_answers_in_the_middle(box, client, heard):
    box.interfere(lambda request: Interference(Moment.WITHIN, b"xx"))
    assert post(box, client).text == "wexx"
    assert len(heard) == 1


def test_it_rewrites(box, client):
    box.rewrite(lambda body: body + b"!")
    assert post(box, client).text == "well!"


def test_what_it_says_by_chance_is_the_same_for_a_seed():
    assert said_by_chance(random.Random(1)) == said_by_chance(random.Random(1))
    assert answer(204).startswith(b"HTTP/1.1 204 ")
