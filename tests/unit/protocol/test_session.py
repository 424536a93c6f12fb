from __future__ import annotations

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_edge.protocol.errors import LocalProtocolError, RemoteProtocolError
from airflow_edge.protocol.messages import (
    Accepted,
    CentreFrame,
    Offer,
    Ping,
    SiteFrame,
    Status,
    decode_centre_frame,
    decode_site_frame,
    encode,
)
from airflow_edge.protocol.session import Session, centre_session, site_session
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


class Conversation(RuleBasedStateMachine):
    """Two sides, a connection that is cut at any moment, and now and then a centre that has forgotten everything."""

    def __init__(self) -> None:
        super().__init__()
        self.sessions = 0
        self.site: Session[SiteFrame, CentreFrame] = site_session("0")
        self.centre: Session[CentreFrame, SiteFrame] = centre_session("0")
        self.to_centre: deque[SiteFrame] = deque()
        self.to_site: deque[CentreFrame] = deque()
        self.connected = True
        self.sent = 0
        self.arrived: list[int] = []
        """What the centre has dealt with for good: it outlives the centre's forgetting, as a database does."""

    def _say(self, frame: SiteFrame) -> None:
        if self.connected:
            self.to_centre.append(decode_site_frame(encode(frame)))

    @rule()
    def site_speaks(self) -> None:
        self.sent += 1
        self._say(self.site.send(accepted(self.sent)))

    @rule()
    def centre_speaks(self) -> None:
        frame = self.centre.send(offer(1))
        if self.connected:
            self.to_site.append(decode_centre_frame(encode(frame)))

    @precondition(lambda self: self.to_centre)
    @rule(commits=st.booleans())
    def centre_hears(self, commits: bool) -> None:
        frame = self.to_centre.popleft()
        if self.centre.receive(frame) and frame.seq and commits and self.centre.handled == frame.seq - 1:
            assert isinstance(frame.body, Accepted)
            self.arrived.append(int(frame.body.job_id[-12:], 16))
            self.centre.handle(frame.seq)

    @precondition(lambda self: self.to_site)
    @rule()
    def site_hears(self) -> None:
        frame = self.to_site.popleft()
        if self.site.receive(frame) and frame.seq:
            self.site.handle(frame.seq)

    @precondition(lambda self: self.connected)
    @rule()
    def cut(self) -> None:
        self.connected = False
        self.to_centre.clear()
        self.to_site.clear()

    @precondition(lambda self: not self.connected)
    @rule(forgotten=st.booleans())
    def connect(self, forgotten: bool) -> None:
        self.connected = True
        if forgotten:
            self.sessions += 1
            self.centre = centre_session(str(self.sessions))
            frames = self.site.restart(str(self.sessions))
        else:
            offers = self.centre.resume(self.site.handled)
            frames = self.site.resume(self.centre.handled)
            self.to_site.extend(offers)
        for frame in frames:
            self._say(frame)

    @invariant()
    def nothing_is_dropped_before_it_was_dealt_with(self) -> None:
        bodies = [frame.body for frame in self.site.pending()]
        waiting = {int(body.job_id[-12:], 16) for body in bodies if isinstance(body, Accepted)}
        assert waiting | set(self.arrived) == set(range(1, self.sent + 1))

    def teardown(self) -> None:
        if self.connected:
            self.cut()
        self.connect(forgotten=False)
        while self.to_centre or self.to_site:
            if self.to_site:
                self.site_hears()
            if self.to_centre:
                self.centre_hears(commits=True)
        assert set(self.arrived) == set(range(1, self.sent + 1))
        firsts = list(dict.fromkeys(self.arrived))
        assert firsts == sorted(firsts)


TestConversation = Conversation.TestCase
TestConversation.settings = settings(max_examples=200, stateful_step_count=60, deadline=None)
