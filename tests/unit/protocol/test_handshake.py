"""Both halves of the handshake against each other, and against whatever else may be at the other end."""

from __future__ import annotations

import contextlib
from collections import deque

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from airflow_edge.protocol import messages
from airflow_edge.protocol.errors import RejectedError, RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame, decode_centre_frame, decode_site_frame, encode
from airflow_edge.protocol.handshake import (
    NEWEST,
    OLDEST,
    CentreHandshake,
    Linked,
    rejection,
    take_answer,
)
from airflow_edge.protocol.messages import Accepted, Hello, Obeyed, Offer, Ping, Rejected, Welcome
from airflow_edge.protocol.problems import Code
from airflow_edge.protocol.session import Session, centre_session, site_session
from airflow_edge.protocol.states import WorkerState

SiteSession = Session[SiteFrame, CentreFrame]
CentreSession = Session[CentreFrame, SiteFrame]

JOB = "00000000-0000-0000-0000-{:012x}".format
VERSIONS = st.integers(0, 6)
RANGES = st.tuples(VERSIONS, VERSIONS).map(lambda pair: (min(pair), max(pair)))
NUMBERS = st.integers(0, 2**63 - 1)


def accepted(number: int) -> Accepted:
    return Accepted(job_id=JOB(number), assignment=1)


def offer(number: int) -> Offer:
    return Offer(job_id=JOB(number), assignment=1, kind="task", queue="q", slots=1, lease=1, workload=b"{}")


def obeyed() -> Obeyed:
    return Obeyed(order_id=JOB(1), done=True, state=WorkerState.IDLE)


def hello(session: SiteSession, oldest: int = OLDEST, newest: int = NEWEST) -> Hello:
    return Hello(
        oldest_protocol=oldest,
        newest_protocol=newest,
        session_id=session.session_id,
        received=session.handled,
        boot_id="boot",
        agent_version="1.2",
        airflow_version="3.2",
        python_version="3.11",
        platform="linux",
        concurrency=4,
        queues=None,
        state=WorkerState.IDLE,
        jobs=(),
    )


def site_speaks(session: SiteSession, greeting: Hello) -> SiteFrame:
    return decode_site_frame(encode(session.send(greeting)))


def centre_answers(
    first: SiteFrame, known: CentreSession | None, name: str, *, oldest: int = OLDEST, newest: int = NEWEST
) -> tuple[CentreFrame, list[CentreFrame], CentreSession]:
    """What a gateway does that remembers a conversation, or none."""
    handshake = CentreHandshake(first, release="1.3", oldest=oldest, newest=newest)
    resumed = known is not None and handshake.continues(known)
    session = known if known is not None and resumed else centre_session(name)
    welcome, again = handshake.welcome(session, resumed=resumed, name="w", queues=("q",), heartbeat_interval=5)
    return decode_centre_frame(encode(welcome)), again, session


def pending(session: SiteSession | CentreSession) -> list[object]:
    return [(frame.seq, frame.body) for frame in session.pending()]


@given(RANGES, RANGES)
def test_the_newest_version_that_both_sides_know_is_spoken(site: tuple[int, int], centre: tuple[int, int]) -> None:
    session = site_session("s")
    session.send(accepted(1))
    greeting = hello(session, *site)
    common = set(range(site[0], site[1] + 1)) & set(range(centre[0], centre[1] + 1))
    first = site_speaks(session, greeting)
    if common:
        welcome, _, _ = centre_answers(first, None, "new", oldest=centre[0], newest=centre[1])
        assert take_answer(session, greeting, welcome).welcome.protocol == max(common)
        return
    with pytest.raises(RejectedError, match="install matching versions") as said:
        centre_answers(first, None, "new", oldest=centre[0], newest=centre[1])
    assert f"speaks protocol {site[0]} to {site[1]}, the centre (airflow-edge 1.3) {centre[0]} to" in str(said.value)
    with pytest.raises(RejectedError) as heard:
        take_answer(session, greeting, decode_centre_frame(encode(rejection(said.value))))
    assert (heard.value.code, str(heard.value)) == (Code.PROTOCOL_VERSION, str(said.value))
    assert (session.session_id, pending(session)) == ("s", [(1, accepted(1))])


@pytest.mark.parametrize("body", [Ping(), accepted(1), messages.Goodbye(reason="")])
def test_a_site_that_does_not_begin_with_a_hello_is_not_understood(body: messages.SiteMessage) -> None:
    with pytest.raises(RemoteProtocolError, match="the first message has to be a Hello"):
        CentreHandshake(SiteFrame(0, 0, body), release="1", oldest=OLDEST, newest=NEWEST)


def test_a_hello_has_no_number() -> None:
    with pytest.raises(RemoteProtocolError, match="has to be a Hello"):
        CentreHandshake(SiteFrame(1, 0, hello(site_session("s"))), release="1", oldest=OLDEST, newest=NEWEST)


def test_what_the_centre_has_dealt_with_is_said_when_the_conversation_goes_on() -> None:
    site, centre = site_session("s"), centre_session("s")
    for number in (1, 2):
        centre.receive(site.send(accepted(number)))
    centre.handle(1)
    centre.send(offer(7))
    greeting = hello(site)
    welcome, again, _ = centre_answers(site_speaks(site, greeting), centre, "new")
    linked = take_answer(site, greeting, welcome)
    assert linked.acknowledged == [accepted(1)]
    assert [frame.body for frame in linked.again] == [accepted(2)]
    assert [frame.body for frame in again] == [offer(7)]
    assert linked.welcome.centre_version == "1.3"


# Whatever the other side says

_anything = st.none() | st.booleans() | st.integers(-1, 2**64 - 1) | st.text(max_size=9) | st.binary(max_size=9)
_bodies = st.fixed_dictionaries(
    {"type": st.sampled_from(["Hello", "Welcome", "Rejected", "Ping", "Nothing"])},
    optional=dict.fromkeys(set(Hello.__struct_fields__ + Welcome.__struct_fields__), _anything),
)
_raw = st.binary(max_size=200) | st.tuples(NUMBERS, NUMBERS, _bodies).map(msgspec.msgpack.encode)


@given(_raw)
@settings(max_examples=500)
def test_any_bytes_are_a_beginning_or_the_other_sides_fault(data: bytes) -> None:
    site = site_session("s")
    with contextlib.suppress(RejectedError, RemoteProtocolError):
        CentreHandshake(decode_site_frame(data), release="1", oldest=OLDEST, newest=NEWEST)
    with contextlib.suppress(RejectedError, RemoteProtocolError):
        take_answer(site, hello(site), decode_centre_frame(data))


@given(st.integers(0, 5), st.integers(0, 5), NUMBERS | st.integers(0, 6))
def test_a_hello_that_claims_anything_to_have_come_is_resumed_or_its_fault(sent: int, had: int, claimed: int) -> None:
    centre = centre_session("s")
    for number in range(sent):
        centre.send(offer(number))
    centre.acknowledge(min(had, sent))
    site = site_session("s")
    first = SiteFrame(0, 0, msgspec.structs.replace(hello(site), received=claimed))
    if claimed > sent:
        with pytest.raises(RemoteProtocolError, match="was acknowledged, but only"):
            centre_answers(first, centre, "new")
    else:
        _, again, _ = centre_answers(first, centre, "new")
        assert [frame.seq for frame in again] == list(range(max(claimed, min(had, sent)) + 1, sent + 1))


@given(
    st.integers(0, 5),
    st.builds(
        Welcome,
        protocol=NUMBERS | VERSIONS,
        resumed=st.booleans(),
        received=NUMBERS | st.integers(0, 6),
        session_id=st.text(max_size=5),
        name=st.just("w"),
        queues=st.just(()),
        heartbeat_interval=st.floats(),
        centre_version=st.text(max_size=5),
    )
    | st.builds(Rejected, code=st.text(max_size=9), message=st.text(max_size=9))
    | st.just(Ping())
    | st.just(offer(1)),
)
def test_after_any_answer_the_site_has_everything_that_was_not_dealt_with(
    sent: int, body: messages.CentreMessage
) -> None:
    site = site_session("s")
    for number in range(sent):
        site.send(accepted(number))
    before = (site.session_id, pending(site))
    greeting = hello(site)
    site.send(greeting)
    try:
        linked = take_answer(site, greeting, CentreFrame(0, 0, body))
    except (RejectedError, RemoteProtocolError):
        assert (site.session_id, pending(site)) == before
    else:
        assert isinstance(body, Welcome)
        kept = [accepted(number) for number in range(body.received if body.resumed else 0, sent)]
        assert [frame.body for frame in linked.again] == kept
        assert [frame.body for frame in site.pending()] == kept
        assert len(linked.acknowledged) + len(kept) == sent


class Conversation(RuleBasedStateMachine):
    """Two sides whose connection is cut at any moment, also in the handshake, and a centre that may have forgotten."""

    def __init__(self) -> None:
        super().__init__()
        self.names = 0
        self.site: SiteSession = site_session("of the site")
        self.centre: CentreSession | None = None
        """The one that goes on over the connection, or that is remembered."""
        self.to_centre: deque[SiteFrame] = deque()
        self.to_site: deque[CentreFrame] = deque()
        self.connected = False
        self.sent = 0
        self.arrived: list[int] = []
        """What the centre has dealt with for good: it outlives the centre's forgetting, as a database does."""

    def _say(self, frame: SiteFrame) -> None:
        if self.connected:
            self.to_centre.append(decode_site_frame(encode(frame)))

    @rule()
    def site_says(self) -> None:
        self.sent += 1
        self._say(self.site.send(accepted(self.sent)))

    @precondition(lambda self: self.centre)
    @rule()
    def centre_says(self) -> None:
        assert self.centre is not None
        frame = self.centre.send(offer(1))
        if self.connected:
            self.to_site.append(decode_centre_frame(encode(frame)))

    @precondition(lambda self: self.to_centre)
    @rule(commits=st.booleans())
    def centre_hears(self, commits: bool) -> None:
        assert self.centre is not None
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
    @rule()
    def forget(self) -> None:
        self.centre = None

    @precondition(lambda self: not self.connected)
    @rule()
    def misunderstand(self) -> None:
        """The site begins anew by itself."""
        self.names += 1
        self.site.restart(f"of the site {self.names}")

    @precondition(lambda self: not self.connected)
    @rule(loses=st.sampled_from([None, "hello", "welcome"]))
    def connect(self, loses: str | None) -> None:
        greeting = hello(self.site)
        first = site_speaks(self.site, greeting)
        if loses == "hello":
            return
        self.names += 1
        welcome, offers, self.centre = centre_answers(first, self.centre, f"of the centre {self.names}")
        if loses == "welcome":
            return
        linked: Linked = take_answer(self.site, greeting, welcome)
        self.connected = True
        self.to_site.extend(offers)
        for frame in linked.again:
            self._say(frame)

    @invariant()
    def nothing_is_dropped_before_it_was_dealt_with(self) -> None:
        bodies = [frame.body for frame in self.site.pending()]
        waiting = {int(body.job_id[-12:], 16) for body in bodies if isinstance(body, Accepted)}
        assert waiting | set(self.arrived) == set(range(1, self.sent + 1))

    def teardown(self) -> None:
        self.cut()
        self.connect(loses=None)
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
