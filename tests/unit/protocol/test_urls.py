from __future__ import annotations

import pytest

from airflow_edge.protocol.urls import gateway_url, link_url


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


@pytest.mark.parametrize(
    ("gateway", "link"), [("http://h:1/edge_worker", "ws://h:1"), ("https://h/edge_worker", "wss://h")]
)
def test_the_link_is_a_websocket_as_safe_as_the_url(gateway: str, link: str) -> None:
    assert link_url(gateway) == f"{link}/edge_worker/v1/link"
