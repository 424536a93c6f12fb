from __future__ import annotations

from itertools import product

import pytest

from airflow_edge.protocol.urls import gateway_url, link_url, unprotected


@pytest.mark.parametrize(
    "api_url",
    [
        "https://host/airflow",
        "https://host/airflow/",
        " https://host/airflow/edge_worker ",
        "https://host/airflow/edge_worker/v1",
        "https://host/airflow/edge_worker/v1/rpcapi",
        "https://host/airflow/edge_worker/v1/rpcapi/?a=b#c",
    ],
)
def test_every_form_of_the_url_leads_to_the_same_gateway(api_url: str) -> None:
    assert gateway_url(api_url) == "https://host/airflow/edge_worker"


NO_URLS = ("", "host", "host:8080", "ftp://host", "https://", "/edge_worker")
NO_HOSTS = ("http://host:99999", "http://host:80a", "http://host:0", "http://[host", "http://[::1", "http://h]st")


@pytest.mark.parametrize("api_url", [*NO_URLS, *NO_HOSTS])
def test_what_is_no_url_is_refused_with_an_example(api_url: str) -> None:
    with pytest.raises(ValueError, match="like https://airflow"):
        gateway_url(api_url)


HIDDEN = "S3cret"
BEFORE = ("", "x/", "x#", "x?", "x@", "x[", "x:", "%2F")
AFTER = ("", "/x", "#x", "?x", "@x", ":x", "]x", "%", " x", "\\x")


@pytest.mark.parametrize(
    "url", ["https://user:{}@host", "https://{}@host/airflow", "user:{}@host", "ftp://u:{}@host:x"]
)
def test_no_login_is_in_a_url_that_is_used_or_in_what_is_said_of_one(url: str) -> None:
    for before, after in product(BEFORE, AFTER):
        with pytest.raises(ValueError, match="like https://airflow") as refused:
            gateway_url(url.format(f"{before}{HIDDEN}{after}"))
        assert HIDDEN not in str(refused.value)


@pytest.mark.parametrize(
    ("gateway", "link"), [("http://h:1/edge_worker", "ws://h:1"), ("https://h/edge_worker", "wss://h")]
)
def test_the_link_is_a_websocket_as_safe_as_the_url(gateway: str, link: str) -> None:
    assert link_url(gateway) == f"{link}/edge_worker/v1/link"


@pytest.mark.parametrize(
    ("url", "is_so"),
    [
        ("http://centre/edge_worker", True),
        ("http://10.0.0.1:8080/edge_worker", True),
        ("http://localhost.example.org/edge_worker", True),
        ("http://127.0.0.1.example.org/edge_worker", True),
        ("http://[2001:db8::1]/edge_worker", True),
        ("http://0.0.0.0/edge_worker", True),
        ("https://centre/edge_worker", False),
        ("http://127.8.8.8:8080/edge_worker", False),
        ("http://[::1]:8080/edge_worker", False),
        ("http://localhost/edge_worker", False),
        ("http://LOCALHOST/edge_worker", False),
    ],
)
def test_what_leaves_the_machine_without_tls_is_told(url: str, is_so: bool) -> None:
    assert unprotected(url) is is_so
