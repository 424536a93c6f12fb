from __future__ import annotations

import pytest
import trustme

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.net.tls_and_proxy import proxy_url, ssl_context
from airflow_edge.agent.trust import SYSTEM, Trust

GATEWAY = "https://centre.example.org/edge_worker"
PROXY = "http://user:pass%20word@proxy:3128"


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    for name in ("http_proxy", "https_proxy", "no_proxy", "all_proxy", "ws_proxy", "wss_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_without_settings_there_is_no_proxy():
    assert proxy_url(GATEWAY) is None


def test_the_proxy_for_https_is_used(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    assert proxy_url(GATEWAY) == PROXY


def test_plain_http_goes_through_the_proxy_for_http(monkeypatch):
    monkeypatch.setenv("http_proxy", PROXY)
    assert proxy_url("http://centre.example.org/edge_worker") == PROXY
    assert proxy_url(GATEWAY) is None


@pytest.mark.parametrize("exception", ["centre.example.org", ".example.org", "*", "other, centre.example.org"])
def test_no_proxy_is_obeyed(monkeypatch, exception):
    monkeypatch.setenv("HTTPS_PROXY", PROXY)
    monkeypatch.setenv("NO_PROXY", exception)
    assert proxy_url(GATEWAY) is None


@pytest.mark.parametrize("url", ["ftp://user:hunter2@proxy", "http://user:hunter2@", "http://user:hunter2@proxy:x"])
def test_a_bad_proxy_is_an_error_that_does_not_show_the_password(monkeypatch, url):
    monkeypatch.setenv("HTTPS_PROXY", url)
    with pytest.raises(ConfigError, match="HTTPS_PROXY") as caught:
        proxy_url(GATEWAY)
    assert "hunter2" not in str(caught.value)


def test_a_socks_proxy_is_refused_clearly(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks5://proxy:1080")
    with pytest.raises(ConfigError, match="only HTTP proxies"):
        proxy_url(GATEWAY)


def test_plain_http_needs_no_certificates(tmp_path):
    assert ssl_context("http://centre", Trust(tmp_path / "missing.pem")) is None


def test_a_private_authority_is_trusted_besides_the_systems(tmp_path):
    file = tmp_path / "ca.pem"
    trustme.CA().cert_pem.write_to_path(str(file))
    ours, theirs = ssl_context(GATEWAY, Trust(file)), ssl_context(GATEWAY, SYSTEM)
    assert ours is not None
    assert theirs is not None
    assert ours.cert_store_stats()["x509_ca"] == theirs.cert_store_stats()["x509_ca"] + 1


@pytest.mark.parametrize("content", [None, "not a certificate"])
def test_a_bad_ca_file_is_named_with_its_setting(tmp_path, content):
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=r"ca\.pem .*\[edge\] ca_file"):
        ssl_context(GATEWAY, Trust(file))
