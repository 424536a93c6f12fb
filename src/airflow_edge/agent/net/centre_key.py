"""The centre's key that this worker has pinned: only what is signed with it, or with a later one, is done."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from nacl.exceptions import BadSignatureError
from nacl.signing import VerifyKey

from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame
from airflow_edge.protocol.messages import Signed
from airflow_edge.protocol.problems import KeyLink
from airflow_edge.protocol.signatures import ORDERS, LinkContext, content, fingerprint, introduction

log = logging.getLogger(__name__)

ENROL_ANEW: Final = (
    "either somebody on the way speaks in the centre's name, or the centre has another key: compare with `airflow edge "
    f"centre-key show` there, and enrol this worker anew if it is so: {ANEW}"
)


def follow(pinned: str, links: Sequence[KeyLink]) -> str:
    """Give the newest key that one introduces, through those between.

    :param pinned: the key to begin with, hex
    :param links: those after it, oldest first
    :raises RemoteProtocolError: one of them is not introduced by the one before.
    """
    for link in links:
        try:
            VerifyKey(bytes.fromhex(pinned)).verify(
                introduction(bytes.fromhex(link.key)), bytes.fromhex(link.signature)
            )
        except (BadSignatureError, ValueError) as error:
            named = fingerprint(bytes.fromhex(link.key))
            raise RemoteProtocolError(
                f"the centre's new key {named} is not signed by the one before; {ENROL_ANEW}"
            ) from error
        pinned = link.key
    return pinned


class Pin:
    """The pinned key."""

    def __init__(self, key: str, keep: Callable[[str], None]) -> None:
        """:param key: hex; :param keep: keeps a newer one"""
        self._key = key
        self._keep = keep

    @property
    def fingerprint(self) -> str:
        """What names it."""
        return fingerprint(bytes.fromhex(self._key))

    def follow(self, links: Sequence[KeyLink]) -> None:
        """Go on to the centre's newest key.

        :raises RemoteProtocolError: it is not introduced by the one that is pinned.
        """
        newest = follow(self._key, links)
        if newest != self._key:
            self._key = newest
            log.info("the centre signs with the key %s from now on", self.fingerprint)
            self._keep(newest)

    def opened(self, frame: CentreFrame, conversation: LinkContext) -> CentreFrame:
        """Give a frame as it is meant.

        :raises RemoteProtocolError: it makes this worker act, and the centre has not signed it for this link.
        """
        if isinstance(frame.body, ORDERS):
            raise RemoteProtocolError(f"{type(frame.body).__name__} came without the centre's signature; {ENROL_ANEW}")
        if not isinstance(frame.body, Signed):
            return frame
        try:
            VerifyKey(bytes.fromhex(self._key)).verify(
                conversation.statement(frame.seq, frame.body.data), frame.body.signature
            )
            return CentreFrame(frame.seq, frame.ack, content(frame.body))
        except (BadSignatureError, ValueError, msgspec.MsgspecError) as error:
            raise RemoteProtocolError(
                f"what came is not signed with the centre's key {self.fingerprint}; {ENROL_ANEW}"
            ) from error
