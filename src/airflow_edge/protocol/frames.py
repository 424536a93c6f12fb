"""Messages on the wire: a frame carries one, in MessagePack, with its sequence number and an acknowledgement."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from airflow_edge.protocol.errors import RemoteProtocolError, decode_remote
from airflow_edge.protocol.messages import CentreMessage, Count, SiteMessage

MAX_FRAME_BYTES = 8 * 1024 * 1024
"""A longer frame of the centre is refused: no workload comes near it."""
MAX_SITE_FRAME_BYTES = 1024 * 1024
"""The same of a site, of which the centre has many. The longest there can be is a `Hello` with `MOST_JOBS`."""


class SiteFrame(msgspec.Struct, frozen=True, array_like=True):
    """A message of the site.

    `seq` is 0 for an unnumbered one, `ack` the last number of the centre's that was dealt with.
    """

    seq: Count
    ack: Count
    body: SiteMessage


class CentreFrame(msgspec.Struct, frozen=True, array_like=True):
    """A message of the centre.

    `seq` is 0 for an unnumbered one, `ack` the last number of the site's that was dealt with.
    """

    seq: Count
    ack: Count
    body: CentreMessage


Frame = TypeVar("Frame", SiteFrame, CentreFrame)

_encoder = msgspec.msgpack.Encoder()
_site_decoder = msgspec.msgpack.Decoder(SiteFrame)
_centre_decoder = msgspec.msgpack.Decoder(CentreFrame)


def encode(frame: SiteFrame | CentreFrame) -> bytes:
    """Give the frame's bytes for the wire."""
    return _encoder.encode(frame)


def decode_site_frame(data: bytes) -> SiteFrame:
    """Read what a site sent; anything that is not a valid frame raises `RemoteProtocolError`."""
    return _decode(_site_decoder, data, MAX_SITE_FRAME_BYTES)


def decode_centre_frame(data: bytes) -> CentreFrame:
    """Read what the centre sent; anything that is not a valid frame raises `RemoteProtocolError`."""
    return _decode(_centre_decoder, data, MAX_FRAME_BYTES)


def _decode(decoder: msgspec.msgpack.Decoder[Frame], data: bytes, most: int) -> Frame:
    if len(data) > most:
        raise RemoteProtocolError(f"a frame of {len(data)} bytes is longer than the {most} allowed")
    return decode_remote(decoder, data, "a frame of this protocol")
