"""Certificates on both sides of TLS, and the addresses of a name, for HTTPS and the WebSocket alike. Real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from airflow_edge.agent.errors import AgentError, CertificateError, ConfigError
from airflow_edge.agent.link.websocket import WebSocketFailedError, open_websocket
from airflow_edge.agent.net.http import HttpClient
from airflow_edge.agent.net.identity import PendingKey, Signer
from airflow_edge.agent.net.tls_and_proxy import ssl_context
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.gateway.marking import serve_marked

PYTHON_3_13 = sorted((Path.home() / ".pyenv" / "versions").glob("3.13*/bin/python3.13"))


@pytest.fixture
def signer(tmp_path: Path) -> Signer:
    return PendingKey.load_or_generate(tmp_path / "key", "press")


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return authority


async def _greet(scope, receive, send) -> None:
    """Answer what a gateway would, whatever is asked."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass
    else:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def gateway(folder: Path, authority: trustme.CA, *, wants_certificate: bool = False) -> AsyncIterator[str]:
    """A server that speaks TLS and marks its answers; give its URL."""
    chain = folder / "server.pem"
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(str(chain))

    async def application(scope, receive, send) -> None:
        await serve_marked(_greet, scope, receive, send)

    server = uvicorn.Server(
        uvicorn.Config(
            application,
            host="127.0.0.1",
            port=0,
            lifespan="off",
            log_level="critical",
            interface="asgi3",
            ssl_certfile=chain,
            ssl_ca_certs=str(folder / "ca.pem"),
            ssl_cert_reqs=ssl.CERT_REQUIRED if wants_certificate else ssl.CERT_NONE,
        )
    )
    server.capture_signals = contextlib.nullcontext  # type: ignore[assignment,method-assign]
    serving = asyncio.create_task(server.serve())
    async with asyncio.timeout(30):
        while not server.started:  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)
    yield f"https://localhost:{server.servers[0].sockets[0].getsockname()[1]}/edge_worker"
    server.should_exit = server.force_exit = True
    await serving


async def by_https(url: str, signer: Signer, trust: Trust) -> None:
    async with aclosing(HttpClient(url, signer, trust=trust)) as client:
        assert (await client.request("GET", "/v1/health")).body == b"hello"


async def by_websocket(url: str, signer: Signer, trust: Trust) -> None:
    try:
        connection = await open_websocket(url, signer, trust=trust)
    except WebSocketFailedError as failure:
        raise failure.error from failure
    await connection.close()


WAYS = pytest.mark.parametrize("way", [by_https, by_websocket])


@WAYS
async def test_a_client_certificate_is_shown_where_one_is_wanted(tmp_path, authority, signer, way):
    own = authority.issue_cert("site-1")
    own.private_key_pem.write_to_path(str(tmp_path / "own.key"))
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    own.private_key_and_cert_chain_pem.write_to_path(str(tmp_path / "both.pem"))
    async with gateway(tmp_path, authority, wants_certificate=True) as url:
        ca_file = tmp_path / "ca.pem"
        await way(url, signer, Trust(ca_file, tmp_path / "own.pem", tmp_path / "own.key"))
        await way(url, signer, Trust(ca_file, tmp_path / "both.pem"))


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@WAYS
async def test_a_server_that_wants_a_client_certificate_is_understood(tmp_path, authority, signer, way, version):
    """It says so by an alert, under TLS 1.3 after the handshake, where a reset may overtake it: as haproxy does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = version
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(tmp_path / "ca.pem")
    authority.issue_cert("localhost").configure_cert(context)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def refuse() -> None:
            with listener.accept()[0] as connection, contextlib.suppress(ssl.SSLError, OSError):
                context.wrap_socket(connection, server_side=True)

        refusing = asyncio.create_task(asyncio.to_thread(refuse))
        with pytest.raises(AgentError, match=r"wants a client certificate.*client-cert"):
            await way(f"https://localhost:{listener.getsockname()[1]}/edge_worker", signer, Trust(tmp_path / "ca.pem"))
        await refusing


def test_a_certificate_that_cannot_be_used_is_named_with_its_settings(tmp_path, authority):
    own = authority.issue_cert("site-1")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    (tmp_path / "other.key").write_text("no key")
    for trust in (
        Trust(None, tmp_path / "missing.pem"),
        Trust(None, tmp_path / "own.pem"),
        Trust(None, tmp_path / "own.pem", tmp_path / "other.key"),
        Trust(None, None, tmp_path / "other.key"),
    ):
        with pytest.raises(ConfigError, match="client_cert"):
            ssl_context("https://centre", trust)


def test_a_key_with_a_password_does_not_ask_at_the_terminal(tmp_path, authority):
    key = ec.generate_private_key(ec.SECP256R1())
    encrypted = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    )
    (tmp_path / "own.key").write_bytes(encrypted)
    authority.issue_cert("site-1").cert_chain_pems[0].write_to_path(str(tmp_path / "own.pem"))
    with pytest.raises(ConfigError, match="without a password"):
        ssl_context("https://centre", Trust(None, tmp_path / "own.pem", tmp_path / "own.key"))


async def test_a_renewed_authority_counts_without_a_restart(tmp_path, authority, signer):
    """One client all the time, as the agent's."""
    renewed = trustme.CA()
    ca_file = tmp_path / "named.pem"
    renewed.cert_pem.write_to_path(str(ca_file))
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(gateway(tmp_path, authority))
        client = await stack.enter_async_context(aclosing(HttpClient(url, signer, trust=Trust(ca_file))))
        with pytest.raises(CertificateError):
            await client.request("GET", "/v1/health")
        authority.cert_pem.write_to_path(str(ca_file))
        assert (await client.request("GET", "/v1/health")).body == b"hello"
        # While it is being written, what was there goes on to count.
        ca_file.write_text("half a certif")
        assert (await client.request("GET", "/v1/health")).body == b"hello"
        ca_file.unlink()
        assert (await client.request("GET", "/v1/health")).body == b"hello"
        await by_websocket(url, signer, Trust(ca_file))


def test_the_link_and_https_share_a_context(tmp_path, authority):
    trust = Trust(tmp_path / "ca.pem")
    assert ssl_context("https://centre", trust) is ssl_context("https://centre", trust)
    assert ssl_context("https://centre", SYSTEM) is not ssl_context("https://centre", trust)


def test_a_named_authority_is_trusted_though_it_is_not_made_by_the_letter(tmp_path, authority):
    named, systems = ssl_context("https://centre", Trust(tmp_path / "ca.pem")), ssl_context("https://centre", SYSTEM)
    assert named is not None
    assert systems is not None
    assert not named.verify_flags & ssl.VERIFY_X509_STRICT
    assert named.verify_mode == systems.verify_mode == ssl.CERT_REQUIRED
    assert named.check_hostname
    assert systems.verify_flags == ssl.create_default_context().verify_flags


HANDSHAKE = """
import socket, ssl, sys, threading
from airflow_edge.agent.net.tls_and_proxy import ssl_context
from airflow_edge.agent.trust import Trust
from pathlib import Path
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0))
def serve():
    with listener.accept()[0] as sock:
        server.wrap_socket(sock, server_side=True).close()
threading.Thread(target=serve, daemon=True).start()
context = ssl_context("https://localhost", Trust(Path(sys.argv[1])))
with socket.create_connection(listener.getsockname()) as sock:
    context.wrap_socket(sock, server_hostname="localhost").do_handshake()
print("trusted")
"""


@pytest.mark.skipif(not PYTHON_3_13, reason="needs Python 3.13 (pyenv install 3.13)")
def test_an_inspecting_proxys_authority_is_trusted_on_python_3_13(tmp_path):
    """As of Zscaler, Proxyman or ZAP: its basic constraints are not marked critical."""
    ca_file, chain = make_sloppy_authority(tmp_path)
    source = Path(__file__).parents[3] / "src"
    packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
    done = subprocess.run(
        [PYTHON_3_13[-1], "-c", HANDSHAKE, ca_file, chain],
        env={"PYTHONPATH": f"{source}:{packages}", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout == "trusted\n", done.stderr


def make_sloppy_authority(folder: Path) -> tuple[Path, Path]:
    def sign(subject: str, key, issuer: str, issuer_key, *extensions: x509.ExtensionType) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(hours=1))
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(issuer_key, hashes.SHA256())

    pem = serialization.Encoding.PEM
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    authority = sign("inspection", keys[0], "inspection", keys[0], x509.BasicConstraints(ca=True, path_length=None))
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    leaf = sign("localhost", keys[1], "inspection", keys[0], names)
    private = keys[1].private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "sloppy-ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "sloppy.pem").write_bytes(private + leaf.public_bytes(pem))
    return folder / "sloppy-ca.pem", folder / "sloppy.pem"


@WAYS
async def test_a_first_address_that_goes_nowhere_costs_no_time_limit(tmp_path, authority, signer, way, monkeypatch):
    """A name with two addresses, the first of which answers nothing at all, as a broken IPv6."""
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(gateway(tmp_path, authority))
        port = int(url.rpartition(":")[2].partition("/")[0])
        nowhere = stack.enter_context(black_hole(port))
        found = [
            (socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (address, port))
            for address in (nowhere, "127.0.0.1")
        ]

        async def look_up(*_: object, **__: object):
            return found

        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
        async with asyncio.timeout(10):
            await way(url, signer, Trust(tmp_path / "ca.pem"))


@contextlib.contextmanager
def black_hole(port: int):
    """An address of this machine where nobody is ever let in: its queue of new connections is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        while True:
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0.3)
            try:
                waiting.connect(("127.0.0.2", port))
            except TimeoutError:
                break
        yield "127.0.0.2"
