"""The way out of a site: a real proxy that wants a password, and a certificate of a private authority."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import trustme

from airflow_edge.protocol.enrolment import write_token
from harness.processes import Process
from harness.waiting import wait_for

USER, PASSWORD = "worker", "p@ss w0rd"
LOGIN = f"{USER}:p%40ss%20w0rd"

NOBODYS = write_token(bytes(32), "x" * 22)


class Proxy:
    """proxy.py, which lets only those through who know the password."""

    def __init__(self, folder: Path) -> None:
        port_file = folder / "proxy.port"
        self.process = Process(
            "proxy",
            [
                Path(sys.executable).with_name("proxy"),
                "--hostname",
                "127.0.0.1",
                "--port",
                "0",
                "--port-file",
                port_file,
                "--basic-auth",
                f"{USER}:{PASSWORD}",
                "--num-workers",
                "1",
                "--num-acceptors",
                "1",
                "--timeout",
                "600",
            ],
            env={"PATH": os.defpath, "HOME": str(folder)},
            cwd=folder,
            log=folder / "proxy.log",
        )
        self.process.wait_ready(lambda: port_file.exists() and port_file.read_text().strip(), timeout=30)
        self.port = int(port_file.read_text())

    def url(self, login: str = LOGIN) -> str:
        return f"http://{login}@127.0.0.1:{self.port}"

    def tunnels(self, url: str) -> int:
        """How many connections to this host it has carried and closed."""
        host = url.partition("://")[2]
        return sum(host in line and "CONNECT" in line for line in self.process.log.read_text().splitlines())


@pytest.fixture(scope="module")
def proxy(tmp_path_factory):
    proxy = Proxy(tmp_path_factory.mktemp("proxy"))
    yield proxy
    proxy.process.stop()


def test_a_private_authority_has_to_be_named(centre, machine):
    said = machine.type("enroll", centre.https, centre.token(), "--name", "tls-0")
    assert said.status == 6
    assert "ca_file" in said.complaint
    assert list(machine.state_dir.iterdir()) == []


@pytest.mark.parametrize("how", ["flag", "setting", "SSL_CERT_FILE"])
def test_a_private_authority_is_trusted_for_enrolment_and_link(centre, machine, how):
    flags = ("--ca-file", str(centre.ca_file)) if how == "flag" else ()
    match how:
        case "setting":
            environment = {"AIRFLOW__EDGE__CA_FILE": str(centre.ca_file)}
        case "SSL_CERT_FILE":
            environment = {"SSL_CERT_FILE": str(centre.ca_file)}
        case _:
            environment = {}
    name = f"tls-{how}"
    said = machine.type("enroll", centre.https, centre.token(), "--name", name, *flags, **environment)
    assert (said.status, said.err) == (0, "")
    machine.start_worker(*flags, **environment)
    machine.wait_linked()


def test_another_authority_is_not_enough(centre, machine, tmp_path):
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    said = machine.type("enroll", centre.https, centre.token(), "--name", "tls-1", "--ca-file", str(other))
    assert said.status == 6


def test_a_certificate_for_another_host_is_refused(centre, machine):
    url = centre.https.replace("localhost", "127.0.0.1")
    said = machine.type("enroll", url, centre.token(), "--name", "tls-2", "--ca-file", str(centre.ca_file))
    assert said.status == 6
    assert "host name" in said.complaint


def test_http_and_https_are_not_mixed_up(centre, machine):
    said = machine.type("enroll", centre.http.replace("http:", "https:"), NOBODYS, "--name", "tls-3")
    assert said.status == 5
    assert "does not speak TLS" in said.complaint


@pytest.mark.parametrize("gateway", ["https", "http"])
def test_enrolment_and_link_go_through_the_proxy(centre, machine, proxy, gateway):
    url = getattr(centre, gateway)
    environment = {
        "HTTPS_PROXY": proxy.url(),
        "HTTP_PROXY": proxy.url(),
        "AIRFLOW__EDGE__CA_FILE": str(centre.ca_file),
    }
    said = machine.type("enroll", url, centre.token(), "--name", f"proxied-{gateway}", **environment)
    assert (said.status, said.err) == (0, "")
    worker = machine.start_worker(**environment)
    machine.wait_linked()
    before = proxy.tunnels(url)
    worker.stop()
    # A tunnel is noted in the proxy's log when it ends.
    wait_for(lambda: proxy.tunnels(url) > before, "the link's tunnel in the proxy's log", timeout=20)


@pytest.mark.parametrize("login", [f"{USER}:wrong", "nobody:x"])
def test_a_wrong_password_is_told_without_showing_it(centre, machine, proxy, login):
    said = machine.type(
        "enroll",
        centre.https,
        centre.token(),
        "--name",
        "stranger",
        "--ca-file",
        str(centre.ca_file),
        HTTPS_PROXY=proxy.url(login),
    )
    assert said.status == 5
    assert "user and password" in said.complaint
    assert login not in said.complaint
    assert list(machine.state_dir.iterdir()) == []


def test_no_proxy_goes_directly(centre, machine, proxy):
    environment = {
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "NO_PROXY": "example.org,localhost",
        "AIRFLOW__EDGE__CA_FILE": str(centre.ca_file),
    }
    said = machine.type("enroll", centre.https, centre.token(), "--name", "direct", **environment)
    assert (said.status, said.err) == (0, "")
    machine.start_worker(**environment)
    machine.wait_linked()


def test_a_proxy_that_is_away_is_told(centre, machine):
    said = machine.type("enroll", centre.https, NOBODYS, "--name", "cut-off", HTTPS_PROXY="http://127.0.0.1:1")
    assert said.status == 5
    assert list(machine.state_dir.iterdir()) == []
