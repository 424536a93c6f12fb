"""The fault proxy, between real clients and real servers on the loopback interface."""

from __future__ import annotations

import socket
import socketserver
import threading
import time
from contextlib import ExitStack

import pytest

from harness.faults import Direction, FaultProxy
from harness.ports import free_port
from harness.waiting import wait_for

PROMPTLY = 5.0
"""Seconds within which something that must happen has happened, on a busy machine too."""
A_WHILE = 0.3
"""Seconds for which something must not happen."""


class Server:
    """Notes what it gets from each client, and answers each piece with its own name and that piece."""

    def __init__(self, name: str) -> None:
        self.received = bytearray()
        self.endings: list[str] = []
        server = self

        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                try:
                    while piece := self.request.recv(65536):
                        server.received += piece
                        self.request.sendall(name.encode() + b":" + piece)
                    server.endings.append("closed")
                except ConnectionResetError:
                    server.endings.append("reset")

        class Threads(socketserver.ThreadingTCPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Threads(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def server(stack):
    server = Server("a")
    stack.callback(server.close)
    return server


@pytest.fixture
def proxy(stack, server):
    return stack.enter_context(FaultProxy([server.url]))


@pytest.fixture
def connect(stack):
    def connect(proxy: FaultProxy) -> socket.socket:
        client = stack.enter_context(socket.create_connection(("127.0.0.1", proxy.port), timeout=PROMPTLY))
        client.settimeout(PROMPTLY)
        return client

    return connect


def say(client: socket.socket, words: bytes) -> bytes:
    client.sendall(words)
    return client.recv(65536)


def hears_nothing(client: socket.socket) -> bool:
    client.settimeout(A_WHILE)
    try:
        client.recv(65536)
    except TimeoutError:
        return True
    finally:
        client.settimeout(PROMPTLY)
    return False


def test_it_passes_bytes_both_ways(proxy, connect):
    assert say(connect(proxy), b"hello") == b"a:hello"


def test_the_end_of_one_side_reaches_the_other(proxy, server, connect):
    client = connect(proxy)
    client.sendall(b"last words")
    client.shutdown(socket.SHUT_WR)
    assert client.recv(65536) == b"a:last words"
    assert client.recv(65536) == b""
    wait_for(lambda: server.endings == ["closed"], "the server to see the end", timeout=PROMPTLY)
    wait_for(lambda: proxy.connections() == [], "the connection to be forgotten", timeout=PROMPTLY)


def test_megabytes_pass_whole(proxy, server, connect):
    client = connect(proxy)
    sent = bytes(range(256)) * 4096 * 4
    listening = threading.Thread(target=lambda: [None for _ in iter(lambda: client.recv(65536), b"")])
    listening.start()
    client.sendall(sent)
    client.shutdown(socket.SHUT_WR)
    wait_for(lambda: len(server.received) == len(sent), "all bytes", timeout=PROMPTLY)
    listening.join(PROMPTLY)
    assert server.received == sent


def test_servers_take_turns_and_dead_ones_are_skipped(stack, connect):
    servers = [Server(name) for name in "abc"]
    for server in servers:
        stack.callback(server.close)
    dead = f"http://127.0.0.1:{free_port()}"
    proxy = stack.enter_context(FaultProxy([servers[0].url, dead, servers[1].url, servers[2].url]))
    answers = {say(connect(proxy), b"who")[:1] for _ in range(8)}
    assert answers == {b"a", b"b", b"c"}


def test_where_every_server_is_dead_the_client_is_reset(stack, connect):
    # Nobody else can have the port meanwhile.
    nobody = stack.enter_context(socket.socket())
    nobody.bind(("127.0.0.1", 0))
    proxy = stack.enter_context(FaultProxy([f"http://127.0.0.1:{nobody.getsockname()[1]}"]))
    # The reset may already be there when the connection is.
    with pytest.raises(ConnectionResetError):
        connect(proxy).recv(1)


def test_cut_closes_both_sides_in_order(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.cut()
    assert client.recv(1) == b""
    wait_for(lambda: server.endings == ["closed"], "the server to see the end", timeout=PROMPTLY)


def test_reset_resets_both_sides(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.reset()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    wait_for(lambda: server.endings == ["reset"], "the server to see the reset", timeout=PROMPTLY)


def test_new_connections_work_after_a_cut(proxy, connect):
    say(connect(proxy), b"one")
    proxy.cut()
    assert say(connect(proxy), b"two") == b"a:two"


def test_a_black_hole_keeps_connections_and_passes_everything_afterwards(proxy, server, connect):
    old = connect(proxy)
    say(old, b"hello")
    proxy.block()
    new = connect(proxy)
    old.sendall(b"from the old")
    new.sendall(b"from the new")
    assert hears_nothing(old)
    assert hears_nothing(new)
    assert server.received == b"hello"
    proxy.restore()
    assert old.recv(65536) == b"a:from the old"
    assert new.recv(65536) == b"a:from the new"


def test_a_black_hole_swallows_the_end_too(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.block()
    client.close()
    time.sleep(A_WHILE)
    assert server.endings == []
    proxy.restore()
    wait_for(lambda: server.endings == ["closed"], "the server to see the end", timeout=PROMPTLY)


def test_only_the_way_up_may_be_blocked(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.block(Direction.UP)
    client.sendall(b"lost")
    assert hears_nothing(client)
    assert server.received == b"hello"


def test_only_the_way_down_may_be_blocked(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello ")
    proxy.block(Direction.DOWN)
    client.sendall(b"heard")
    wait_for(lambda: server.received == b"hello heard", "the way up to be open", timeout=PROMPTLY)
    assert hears_nothing(client)
    proxy.restore()
    assert client.recv(65536) == b"a:heard"


def test_what_was_held_back_is_lost_with_a_reset(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.block(Direction.UP)
    client.sendall(b"never")
    time.sleep(A_WHILE)
    proxy.reset()
    proxy.restore()
    assert say(connect(proxy), b" again") == b"a: again"
    assert server.received == b"hello again"


def test_one_connection_may_be_blocked_alone(proxy, connect):
    first, second = connect(proxy), connect(proxy)
    say(first, b"hello")
    say(second, b"hello")
    (older, _) = proxy.connections()
    older.block()
    first.sendall(b"nobody hears")
    assert hears_nothing(first)
    assert say(second, b"still here") == b"a:still here"
    older.restore()
    assert first.recv(65536) == b"a:nobody hears"


def test_one_connection_may_be_cut_or_reset_alone(proxy, connect):
    first, second, third = connect(proxy), connect(proxy), connect(proxy)
    for client in (first, second, third):
        say(client, b"hello")
    cut, reset, _ = proxy.connections()
    cut.cut()
    reset.reset()
    assert first.recv(1) == b""
    with pytest.raises(ConnectionResetError):
        second.recv(1)
    assert say(third, b"still here") == b"a:still here"


def test_a_delay_holds_every_piece_back_and_keeps_the_order(proxy, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.delay(A_WHILE)
    began = time.monotonic()
    assert say(client, b"slow") == b"a:slow"
    assert time.monotonic() - began >= 2 * A_WHILE
    proxy.delay(A_WHILE, Direction.UP)
    client.sendall(b"1")
    client.sendall(b"2")
    proxy.restore()
    heard = b""
    while heard.count(b"2") == 0:
        heard += client.recv(65536)
    assert heard.replace(b"a:", b"") == b"12"


def test_a_throttled_way_takes_its_time_and_loses_nothing(proxy, server, connect):
    client = connect(proxy)
    proxy.throttle(100_000, Direction.UP)
    began = time.monotonic()
    client.sendall(b"x" * 50_000)
    wait_for(lambda: len(server.received) == 50_000, "the first bytes", timeout=PROMPTLY)
    client.sendall(b"later")
    wait_for(lambda: len(server.received) == 50_005, "the last bytes", timeout=PROMPTLY)
    assert time.monotonic() - began >= 0.4
    assert server.received == b"x" * 50_000 + b"later"


def test_half_a_message_passes_before_the_cut(proxy, server, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.halve(Direction.UP)
    client.sendall(b"12345678")
    assert client.recv(65536) == b""
    wait_for(lambda: server.endings, "the server to see the end", timeout=PROMPTLY)
    assert server.received == b"hello1234"


def test_half_an_answer_passes_before_the_cut(proxy, connect):
    client = connect(proxy)
    say(client, b"hello")
    proxy.halve(Direction.DOWN)
    client.sendall(b"123456")
    assert client.recv(65536) == b"a:12"
    assert client.recv(65536) == b""


def test_refusing_leaves_old_connections_and_keeps_the_port(proxy, connect):
    client = connect(proxy)
    say(client, b"hello")
    for _ in range(3):
        proxy.refuse()
        with pytest.raises(ConnectionRefusedError):
            connect(proxy)
        assert say(client, b"still here") == b"a:still here"
        proxy.restore()
        assert say(connect(proxy), b"back") == b"a:back"


def test_nothing_is_left_of_a_closed_proxy(server, connect):
    with FaultProxy([server.url]) as proxy:
        client = connect(proxy)
        say(client, b"hello")
        proxy.block()
    with pytest.raises(ConnectionResetError):
        client.recv(1)
    with pytest.raises(ConnectionRefusedError):
        connect(proxy)
