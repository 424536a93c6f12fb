from __future__ import annotations

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.integration.site.centre import Centre
from tests.integration.site.machine import Machine


@pytest.fixture(scope="package")
def centre(tmp_path_factory):
    """A centre with several gateways, for all tests here."""
    with Centre.running(tmp_path_factory.mktemp("centre")) as centre:
        yield centre


@pytest.fixture
def machine(tmp_path):
    """A machine that is no worker yet."""
    machine = Machine(tmp_path / "machine")
    yield machine
    machine.close()


@pytest.fixture
def enrolled(centre, machine, request):
    """A machine that is a worker, named after its test."""
    name = re.sub("[^a-z0-9_]+", "-", request.node.name)[:100]
    said = machine.type("enroll", centre.http, centre.token(), "--name", name)
    assert said.status == 0, said.err
    machine.name = name
    return machine


@pytest.fixture(params=["HTTP/1.0", "HTTP/1.1"])
def web_page(request):
    """A web server that has never heard of Airflow; GETs get a page, everything else an error."""

    class Page(BaseHTTPRequestHandler):
        protocol_version = request.param

        def do_GET(self) -> None:
            body = b"<html>welcome</html>"
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://localhost:{server.server_port}"
        server.shutdown()
        thread.join()
