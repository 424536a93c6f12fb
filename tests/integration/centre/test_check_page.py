"""What `airflow edge check` makes of what a browser gets instead of the operator's page."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route

from airflow_edge.checking.page import fetch_page
from airflow_edge.page.app import create_app
from airflow_edge.page.bundle import Bundle
from airflow_edge.page.entries import PAGE_PREFIX

ENTRY, CHUNK = "edge-Ab3_-9xY.js", "Page-12345678.js"
BUNDLE = Bundle(ENTRY, {ENTRY: b"import './Page'", CHUNK: b"export const page = 1", "icon.svg": b"<svg/>"})
TRUSTED = ssl.create_default_context()


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")


@contextmanager
def api_server(*routes: Route, bundle: Bundle = BUNDLE, root: str = "") -> Iterator[str]:
    """Serve the page as an API server does; `routes` are what stands before it."""
    app = Starlette(routes=[*routes, Mount(root + PAGE_PREFIX, create_app(bundle))])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    listening = server.config.bind_socket()
    listening.listen()
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        # A request waits until it is served.
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{root}"
    finally:
        server.should_exit = True
        thread.join()


def instead(name: str, give: Callable[[Request], Response]) -> Route:
    """Something that answers in the place of a file."""
    return Route(f"{PAGE_PREFIX}/{name}", give)


@pytest.mark.parametrize("root", ["", "/sub/path"])
def test_it_is_whole_where_browsers_find_it(root):
    with api_server(root=root) as url:
        found = fetch_page(url, BUNDLE, TRUSTED)
        assert (found.outcome, found.url) == ("shown", f"{url}{PAGE_PREFIX}/{ENTRY}")
        assert httpx.get(found.url, trust_env=False).content == BUNDLE.files[ENTRY]


def test_an_api_server_that_was_not_restarted_has_another():
    old = Bundle("edge-00000000.js", {"edge-00000000.js": b"import './Page'"})
    with api_server(bundle=old) as url:
        assert fetch_page(url, BUNDLE, TRUSTED).outcome == "another build"


def test_a_part_that_is_loaded_later_is_missed_now():
    one_of_two = Bundle(ENTRY, {ENTRY: BUNDLE.files[ENTRY]})
    with api_server(bundle=one_of_two) as url:
        found = fetch_page(url, BUNDLE, TRUSTED)
    assert (found.outcome, found.url) == ("another build", f"{url}{PAGE_PREFIX}/{CHUNK}")


@pytest.mark.parametrize("name", [ENTRY, CHUNK])
@pytest.mark.parametrize(
    ("give", "outcome", "detail"),
    [
        (lambda _: HTMLResponse("<title>Log in</title>"), "no module", "text/html"),
        (lambda _: RedirectResponse("/login"), "no module", "text/html"),
        (lambda _: PlainTextResponse("import './Page'"), "no module", "text/plain"),
        (lambda _: Response(b"import './Page'"), "no module", "no content type"),
        (lambda _: Response(b"minified", media_type="text/javascript"), "changed", ""),
        (lambda _: HTMLResponse("no", 403), "cut", "status 403"),
        (lambda _: HTMLResponse("not found", 404), "cut", "status 404"),
    ],
)
def test_what_a_proxy_gives_instead_is_told_apart(name, give, outcome, detail):
    login = Route("/login", lambda _: HTMLResponse("<title>Log in</title>"))
    with api_server(instead(name, give), login) as url:
        found = fetch_page(url, BUNDLE, TRUSTED)
    assert (found.outcome, found.detail) == (outcome, detail)
    assert found.url == f"{url}{PAGE_PREFIX}/{name}"


def test_a_path_that_a_proxy_cuts_is_found():
    with api_server(root="") as url:
        assert fetch_page(f"{url}/sub", BUNDLE, TRUSTED).outcome == "cut"


def test_what_has_no_end_is_not_read_to_it():
    endless = b"x" * (9 * 1024 * 1024)
    with api_server(instead(ENTRY, lambda _: Response(endless, media_type="text/javascript"))) as url:
        assert fetch_page(url, BUNDLE, TRUSTED).outcome == "changed"


@pytest.mark.parametrize("base_url", ["/sub", "http://[bad", "https://airflow.invalid"])
def test_what_is_not_reached_is_named(base_url):
    found = fetch_page(base_url, BUNDLE, TRUSTED)
    assert found.outcome == "nothing"
    assert found.detail
    assert base_url in found.url


def test_nobody_at_the_port():
    with api_server() as url:
        pass
    found = fetch_page(url, BUNDLE, TRUSTED)
    assert (found.outcome, found.url) == ("nothing", f"{url}{PAGE_PREFIX}/{ENTRY}")
