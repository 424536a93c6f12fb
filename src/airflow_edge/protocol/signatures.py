"""What the centre signs: what makes a site act, and its own next key. No cryptography here: each side brings its own.

The centre's keys (Ed25519) are a chain: each is signed by the one before, so that a site that knows one of them comes
to know the newest. A site pins one when it enrols, and from then on does only what is signed with it or a later one.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from airflow_edge.protocol.frames import CentreFrame, encode
from airflow_edge.protocol.messages import Offer, Order, Signed, Stop, Void

FINGERPRINT_LENGTH: Final = 22
ORDERS: Final = (Offer, Stop, Void, Order)
"""What makes a site act. Everything else that the centre says only tells it something."""

Sign = Callable[[bytes], bytes]

_body = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Offer | Stop | Void | Order)


def fingerprint(public_key: bytes) -> str:
    """Give what names a key: the first 16 bytes of its SHA-256 (base64url)."""
    return base64.urlsafe_b64encode(hashlib.sha256(public_key).digest()[:16]).rstrip(b"=").decode("ascii")


def introduction(next_key: bytes) -> bytes:
    """Give what a key signs to introduce the next one."""
    return b"airflow-edge centre key\n" + next_key


def enrolment_proof(worker_key: str, centre_key: str) -> bytes:
    """Give what the centre authenticates with the shared secret, to a site that has proved to know it."""
    return f"airflow-edge centre key of an enrolment\n{worker_key}\n{centre_key}".encode()


class LinkContext(msgspec.Struct, frozen=True, array_like=True):
    """Where something is said, so that it counts there only: nothing of another link, or of another worker's."""

    worker_id: str
    nonce: str
    """Of the `Hello`: the site's own, new for each link."""
    session_id: str

    def statement(self, seq: int, data: bytes) -> bytes:
        """Give what is signed for a message."""
        return b"airflow-edge order\n" + _body.encode((self, seq, data))


def seal(frame: CentreFrame, conversation: LinkContext, sign: Sign) -> bytes:
    """Give a frame's bytes for the wire, signed if its message makes the site act."""
    if not isinstance(frame.body, ORDERS):
        return encode(frame)
    data = _body.encode(frame.body)
    signed = Signed(data=data, signature=sign(conversation.statement(frame.seq, data)))
    return encode(CentreFrame(frame.seq, frame.ack, signed))


def content(signed: Signed) -> Offer | Stop | Void | Order:
    """Give the message that was signed; whether by whom it should, is checked before.

    :raises msgspec.MsgspecError: there is none.
    """
    message: Offer | Stop | Void | Order = _decoder.decode(signed.data)
    return message
