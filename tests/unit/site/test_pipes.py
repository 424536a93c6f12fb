from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.local import Probe, StartJob, encode_local
from airflow_edge.site.pipes import LONGEST, Inbox, close, closing, emptied, filled


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    agent, runtime = socket.socketpair(socket.AF_UNIX)
    with agent, runtime:
        yield agent, runtime


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def start(number: int, *, piped: bool = True) -> StartJob:
    return StartJob(job_id=str(number), assignment=1, folder=f"/jobs/{number}", piped=piped)


def send(agent: socket.socket, *messages: StartJob) -> None:
    """Each with a pipe of its own, in which its number is."""
    for message in messages:
        pipes = [filled(message.job_id)] if message.piped else []
        socket.send_fds(agent, [encode_local(message)], pipes)
        for pipe in pipes:
            close(pipe)


def taken(inbox: Inbox, runtime: socket.socket, count: int) -> list[tuple[str, str | None]]:
    orders: list[tuple[str, str | None]] = []
    while len(orders) < count:
        for order, pipe in inbox.receive(runtime):
            assert isinstance(order, StartJob)
            orders.append((order.job_id, None if pipe is None else emptied(pipe)))
    return orders


def test_a_secret_is_read_once_and_no_child_of_this_process_inherits_it() -> None:
    pipe = filled("the secret")
    assert not os.get_inheritable(pipe)
    assert emptied(pipe) == "the secret"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe)
    assert emptied(filled("x" * LONGEST)) == "x" * LONGEST


def test_each_job_gets_the_secret_that_came_with_it(pair: tuple[socket.socket, socket.socket]) -> None:
    agent, runtime = pair
    send(agent, start(1), start(2, piped=False), start(3), start(4))
    assert taken(Inbox(), runtime, 4) == [("1", "1"), ("2", None), ("3", "3"), ("4", "4")]


def test_an_order_that_comes_in_parts_keeps_its_secret(pair: tuple[socket.socket, socket.socket]) -> None:
    agent, runtime = pair
    frame = encode_local(start(5))
    pipe = filled("5")
    socket.send_fds(agent, [frame[:3]], [pipe])
    inbox = Inbox()
    assert inbox.receive(runtime) == []
    agent.sendall(frame[3:])
    assert taken(inbox, runtime, 1) == [("5", "5")]
    close(pipe)


def test_a_job_without_its_secret_is_no_order_and_none_gets_anothers(pair: tuple[socket.socket, socket.socket]) -> None:
    agent, runtime = pair
    agent.sendall(encode_local(start(6)))
    with pytest.raises(RemoteProtocolError, match="without the secret"):
        Inbox().receive(runtime)


def test_where_no_descriptor_is_to_be_had_the_next_job_does_not_get_this_ones_secret(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    agent, runtime = pair
    inbox = Inbox()
    send(agent, start(7))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    lowest = os.dup(0)
    os.close(lowest)
    resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, hard))
    try:
        [(_, lost)] = inbox.receive(runtime)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert lost is None
    send(agent, start(8))
    assert taken(inbox, runtime, 1) == [("8", "8")]


def test_the_end_of_a_connection_is_an_error_and_what_is_left_of_it_is_closed(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    agent, runtime = pair
    pipe = filled("8")
    socket.send_fds(agent, [encode_local(start(8))[:-1]], [pipe])
    close(pipe)
    inbox = Inbox()
    before = descriptors()
    assert inbox.receive(runtime) == []
    assert descriptors() == before + 1
    agent.shutdown(socket.SHUT_RDWR)
    with pytest.raises(ConnectionResetError):
        inbox.receive(runtime)
    inbox.clear()
    assert descriptors() == before


def test_what_has_no_secret_comes_without_a_pipe(pair: tuple[socket.socket, socket.socket]) -> None:
    agent, runtime = pair
    agent.sendall(encode_local(Probe(fork=True)))
    assert Inbox().receive(runtime) == [(Probe(fork=True), None)]


def test_a_pipe_is_closed_whatever_comes_of_the_order() -> None:
    pipe = filled("9")
    with closing(pipe), pytest.raises(KeyError):
        raise KeyError
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(pipe)
    with closing(None):
        """Nothing to close."""
