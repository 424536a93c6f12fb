from __future__ import annotations

import pytest

from airflow_edge.protocol.errors import LocalProtocolError, RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame
from airflow_edge.protocol.messages import Accepted, Offer, Ping, Status
from airflow_edge.protocol.session import centre_session, site_session
from airflow_edge.protocol.states import WorkerState

JOB = "00000000-0000-0000-0000-{:012x}".format


def accepted(number: int) -> Accepted:
    return Accepted(job_id=JOB(number), assignment=1)


def offer(number: int) -> Offer:
    return Offer(job_id=JOB(number), assignment=1, kind="task", queue="q", slots=1, lease=1, workload=b"{}")


def test_a_numbered_message_is_kept_until_it_is_acknowledged() -> None:
    site, centre = site_session("s"), centre_session("s")
    frame = site.send(accepted(1))
    assert centre.receive(frame)
    assert site.pending() == [frame]
    centre.handle(frame.seq)
    assert site.receive(centre.send(Ping()))
    assert site.pending() == []


def test_a_message_that_comes_twice_is_new_only_once() -> None:
    site, centre = site_session("s"), centre_session("s")
    frame = site.send(accepted(1))
    assert [centre.receive(frame), centre.receive(frame)] == [True, False]


def test_a_status_is_neither_numbered_nor_kept() -> None:
    site = site_session("s")
    assert site.send(Status(state=WorkerState.IDLE, alive=())).seq == 0
    assert site.pending() == []


def test_a_skipped_number_is_the_other_sides_fault() -> None:
    site, centre = site_session("s"), centre_session("s")
    site.send(accepted(1))
    with pytest.raises(RemoteProtocolError, match="message 2 came after message 0"):
        centre.receive(site.send(accepted(2)))


def test_an_acknowledgement_of_what_was_never_sent_is_the_other_sides_fault() -> None:
    with pytest.raises(RemoteProtocolError, match="only 0 were sent"):
        site_session("s").receive(CentreFrame(0, 1, Ping()))


def test_what_has_not_come_cannot_be_dealt_with() -> None:
    with pytest.raises(LocalProtocolError):
        centre_session("s").handle(1)


def test_what_came_but_was_not_dealt_with_comes_again_after_a_resumption() -> None:
    site, centre = site_session("s"), centre_session("s")
    centre.receive(site.send(accepted(1)))
    centre.resume(0)
    again = site.resume(centre.handled)
    assert [centre.receive(frame) for frame in again] == [True]
