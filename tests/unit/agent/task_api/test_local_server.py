"""Over a real socket: there is no other way to know what a client gets to see."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import httpx
import pytest

from airflow_edge.agent.net.http import Response
from airflow_edge.agent.task_api import conversation, local_server
from airflow_edge.agent.task_api.conversation import Handler
from airflow_edge.agent.task_api.forwarder import Request
from airflow_edge.agent.task_api.local_server import served

Serve = Callable[[Handler], AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @contextlib.asynccontextmanager
    async def serve(handler: Handler) -> AsyncIterator[httpx.AsyncClient]:
        path = tmp_path / "s.sock"
        async with served(path, handler, strangers):
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with httpx.AsyncClient(transport=transport, base_url="http://edge", timeout=10) as client:
                yield client
        assert not path.exists()

    return serve


def strangers(request: Request) -> Response | None:
    """The secret is checked with the head: who has a wrong one is refused."""
    return Response(401, {}, b"unknown") if request.headers.get("authorization") == "Bearer wrong" else None


async def echo(request: Request) -> Response:
    headers = {"x-method": request.method, "x-path": request.path, "x-query": request.query}
    return Response(200, headers, request.body)


async def test_requests_are_answered_one_after_the_other_on_a_connection(serve: Serve) -> None:
    async with serve(echo) as client:
        for size in (0, 10, 3_000_000):
            body = b"x" * size
            response = await client.put("/a%20b/c?d=e%26&f", content=body)
            assert response.content == body
            assert response.headers["x-method"] == "PUT"
            assert (response.headers["x-path"], response.headers["x-query"]) == ("/a%20b/c", "d=e%26&f")


async def test_a_head_has_no_body(serve: Serve) -> None:
    async def count(request: Request) -> Response:
        return Response(200, {"content-range": "map_indexes 3"})

    async with serve(count) as client:
        response = await client.head("/xcoms")
        assert response.headers["content-range"] == "map_indexes 3"
        assert (await client.head("/xcoms")).status_code == 200


async def test_a_chunked_body_is_put_together(serve: Serve) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one, "
        yield b"two"

    async with serve(echo) as client:
        assert (await client.post("/", content=pieces())).content == b"one, two"


@pytest.mark.attack(19)
async def test_all_bodies_together_take_up_no_more_memory_than_the_longest_may(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_server, "LONGEST_CALL", 1_000_000)
    held: list[bytes] = []
    most, go_on = 0, asyncio.Event()

    async def hold(request: Request) -> Response:
        nonlocal most
        if len(request.body) > 1000:
            held.append(request.body)
            most = max(most, sum(map(len, held)))
            await go_on.wait()
            held.remove(request.body)
        return Response(204)

    async with serve(hold) as client:
        large = [asyncio.create_task(client.put("/", content=bytes([number]) * 300_000)) for number in range(8)]
        async with asyncio.timeout(10):
            while len(held) < 3:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            # What is small does not wait for them, and one that goes away makes room for nobody twice.
            assert (await client.put("/", content=b"small")).status_code == 204
            large[7].cancel()
            go_on.set()
            answers = await asyncio.gather(*large[:7])
        assert [answer.status_code for answer in answers] == [204] * 7
    assert most == 900_000


@pytest.mark.parametrize("is_known", [True, False])
async def test_a_call_that_is_too_long_for_any_memory_is_told_so(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, is_known: bool
) -> None:
    monkeypatch.setattr(conversation, "LONGEST_CALL", 100_000)

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 10_000

    async with serve(echo) as client:
        for path in ("/xcoms/a", "/xcoms/b"):
            answer = await client.post(path, content=b"x" * 100_001 if is_known else pieces())
            assert answer.status_code == 413
            assert "XCom backend" in answer.json()["detail"]["message"]
        assert (await client.post("/xcoms/c", content=b"x" * 100_000)).status_code == 200


@pytest.mark.attack(19)
@pytest.mark.parametrize("is_known", [True, False])
async def test_the_body_of_a_call_with_a_wrong_secret_is_not_read(serve: Serve, is_known: bool) -> None:
    """Of 64 MiB the client gets rid of what a socket holds, and is answered while it still sends."""
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(1024):
            sent += 64 * 1024
            yield b"x" * (64 * 1024)

    headers = {"authorization": "Bearer wrong"} | ({"content-length": str(64 * 1024**2)} if is_known else {})
    async with serve(echo) as client:
        answer = await client.put("/xcoms/a", content=pieces(), headers=headers)
        assert (answer.status_code, answer.content) == (401, b"unknown")
        assert sent < 8 * 1024**2
        assert (await client.put("/xcoms/a", content=b"x" * 100_000)).status_code == 200


async def test_a_handler_ends_when_its_caller_goes(serve: Serve) -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def hold(request: Request) -> Response:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        raise AssertionError

    async with serve(hold) as client:
        call = asyncio.create_task(client.get("/"))
        async with asyncio.timeout(5):
            await began.wait()
            call.cancel()
            await ended.wait()


async def test_a_fault_of_ours_is_a_500_and_the_next_call_is_served(serve: Serve) -> None:
    async def stumble(request: Request) -> Response:
        if request.path == "/bad":
            raise ValueError("ours")
        return Response(204)

    async with serve(stumble) as client:
        assert (await client.get("/bad")).status_code == 500
        assert (await client.get("/good")).status_code == 204


async def test_what_is_not_http_is_turned_away(serve: Serve, tmp_path: Path) -> None:
    async with serve(echo):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s.sock")
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        async with asyncio.timeout(5):
            assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()


async def test_calls_that_are_sent_at_once_are_answered_in_order(serve: Serve, tmp_path: Path) -> None:
    async with serve(echo):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s.sock")
        writer.write(b"".join(b"GET /%d HTTP/1.1\r\nhost: e\r\n\r\n" % number for number in range(3)))
        async with asyncio.timeout(5):
            for number in range(3):
                assert b"x-path: /%d\r\n" % number in await reader.readuntil(b"\r\n\r\n")
        writer.close()


@pytest.mark.held("another user of the machine: no socket, file or folder")
async def test_the_socket_is_for_this_user_only(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "s.sock").touch()
    async with serve(echo):
        assert stat.S_IMODE((tmp_path / "s.sock").stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="only root can be another user, on Linux")
@pytest.mark.parametrize(("user", "said"), [(65534, b""), (0, b"HTTP/1.1 200")])
async def test_attack_10_another_user_is_not_answered_though_he_has_got_at_the_socket(user: int, said: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)  # noqa: PTH101 - a moment
        path = Path(folder, "agent.sock")
        async with served(path, echo, strangers):
            os.chmod(path, 0o777)  # noqa: PTH101 - a moment
            child = os.fork()
            if child == 0:
                heard = None
                with contextlib.suppress(ConnectionError), socket.socket(socket.AF_UNIX) as connection:
                    os.setuid(user)
                    connection.connect(str(path))
                    heard = b""
                    connection.sendall(b"GET /secret HTTP/1.1\r\nhost: e\r\n\r\n")
                    heard = connection.recv(12)
                os._exit(0 if heard == said else 1)
            _, status = await asyncio.to_thread(os.waitpid, child, 0)
    assert status == 0
