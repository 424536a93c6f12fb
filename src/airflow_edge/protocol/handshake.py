"""How a link begins: site and centre agree on a version, and on where the conversation goes on. No I/O.

::

    site                                    centre
    Session.send ───────── Hello ─────────▶ CentreHandshake
                                              no version in common, nothing to serve: RejectedError
                 ◀─ Rejected, then closed ─ rejection
    take_answer  ◀──────── Welcome ──────── CentreHandshake.welcome

Whatever is lost on the way, both may begin again: a site that heard no `Welcome` is in the conversation that it was in
before, and says so in its next `Hello`.

The protocol has versions: two sides that have none in common say so, and which ones they speak. Before the first
release it had four others, which nothing speaks any more. Where there is more than one, a side sends nothing that came
after the one agreed on: a message that the other side does not know ends the link.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from msgspec.structs import replace

from airflow_edge.protocol.errors import RejectedError, RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, SiteFrame
from airflow_edge.protocol.logs import logdata
from airflow_edge.protocol.messages import Hello, Rejected, SiteMessage, Welcome
from airflow_edge.protocol.problems import Code, KeyLink
from airflow_edge.protocol.session import Session
from airflow_edge.texts import one_line

OLDEST = 5
NEWEST = 5


class Linked(NamedTuple):
    """What a `Welcome` means for the site."""

    welcome: Welcome
    acknowledged: list[SiteMessage]
    """What the centre has dealt with since it was last heard."""
    again: list[SiteFrame]
    """What is to be sent again."""


def take_answer(session: Session[SiteFrame, CentreFrame], hello: Hello, frame: CentreFrame) -> Linked:
    """Take the centre's answer to the site's `Hello` in; the conversation goes on, or begins anew, as it says.

    :raises RejectedError: the centre does not serve this worker.
    :raises RemoteProtocolError: it is no answer to the `Hello`; the conversation is as it was.
    """
    match frame.body:
        case Rejected() as rejected:
            raise RejectedError(rejected.code, rejected.message)
        case Welcome() as welcome:
            pass
        case other:
            raise RemoteProtocolError(f"{type(other).__name__} came instead of Welcome")
    if not hello.oldest_protocol <= welcome.protocol <= hello.newest_protocol:
        raise RemoteProtocolError(f"the centre wants to speak version {welcome.protocol} of the protocol")
    if welcome.resumed:
        acknowledged = [frame.body for frame in session.acknowledge(welcome.received)]
        return Linked(welcome, acknowledged, session.resume(welcome.received))
    name = welcome.session_id or session.session_id
    return Linked(welcome, [], session.restart(name))


MOST_OF_A_VERSION: Final = 100
"""Characters of a version that are shown."""


class CentreHandshake:
    """The centre's half, over one connection."""

    def __init__(self, frame: SiteFrame, *, release: str, oldest: int, newest: int) -> None:
        """Read what a site has sent first.

        :param release: the centre's version of airflow-edge
        :param oldest: the oldest version of the protocol that the centre speaks; `newest`: the newest
        :raises RejectedError: there is no version that both sides speak.
        :raises RemoteProtocolError: it is no `Hello`.
        """
        hello = frame.body
        if not isinstance(hello, Hello) or frame.seq != 0:
            raise RemoteProtocolError("the first message has to be a Hello")
        self.hello = hello = _cleaned(hello)
        self.protocol = min(newest, hello.newest_protocol)
        """The version that is spoken: the newest that both sides know."""
        self._release = release
        if self.protocol < max(oldest, hello.oldest_protocol):
            raise RejectedError(
                Code.PROTOCOL_VERSION,
                f"the worker (airflow-edge {hello.agent_version}) speaks protocol {hello.oldest_protocol} to "
                f"{hello.newest_protocol}, the centre (airflow-edge {release}) {oldest} to {newest}: install matching "
                "versions of airflow-edge",
            )

    def continues(self, session: Session[CentreFrame, SiteFrame]) -> bool:
        """Whether the site is in this conversation."""
        return session.session_id == self.hello.session_id

    def welcome(
        self,
        session: Session[CentreFrame, SiteFrame],
        *,
        resumed: bool,
        name: str,
        queues: tuple[str, ...],
        heartbeat_interval: float,
        link: str = "",
        centre_keys: tuple[KeyLink, ...] = (),
        version_refused: str = "",
        version_warning: str = "",
    ) -> tuple[CentreFrame, list[CentreFrame]]:
        """Give the answer to the site, and what has to be sent again after it.

        :param session: the conversation that the site is in (`resumed`), or a new one
        :raises RemoteProtocolError: the site claims to have received what was never sent.
        """
        again = session.resume(self.hello.received) if resumed else []
        welcome = Welcome(
            protocol=self.protocol,
            resumed=resumed,
            received=session.handled,
            session_id=session.session_id,
            name=name,
            queues=queues,
            heartbeat_interval=heartbeat_interval,
            centre_version=self._release,
            log_dictionaries=logdata.DICTIONARIES,
            version_refused=version_refused,
            version_warning=version_warning,
            link=link,
            centre_keys=centre_keys,
        )
        return session.send(welcome), again


def rejection(error: RejectedError) -> CentreFrame:
    """Give the answer to a site that is not served; the link is closed after it, with `CloseCode.PROTOCOL_ERROR`."""
    return CentreFrame(0, 0, Rejected(code=error.code, message=str(error)))


def _cleaned(hello: Hello) -> Hello:
    """Give what a site says of itself fit for people: it is in logs, on terminals and on pages."""
    return replace(
        hello,
        boot_id=one_line(hello.boot_id),
        agent_version=one_line(hello.agent_version, MOST_OF_A_VERSION),
        airflow_version=one_line(hello.airflow_version, MOST_OF_A_VERSION),
        python_version=one_line(hello.python_version, MOST_OF_A_VERSION),
        platform=one_line(hello.platform),
        queues=None if hello.queues is None else tuple(one_line(queue) for queue in hello.queues),
        host=one_line(hello.host),
    )
