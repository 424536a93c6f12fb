"""The link without a WebSocket: the same frames as bodies of HTTP requests and answers.

A `POST` to `urls.POLL` with a `Hello` makes a link; the `Reply` names it and brings the `Welcome`. From then on there
are two kinds of `POST` to `urls.poll_path(link)`, at most one of each at a time, which keeps the frames in order:

- with frames: they go up, and the answer, which comes as soon as they are taken in, brings none;
- without: the centre's frames come down with the answer, at once if there are any, else after `WAIT`.

A request that fails leaves open what of it arrived, so the link is given up after it. The next one resumes the session,
which sends again what is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec

from airflow_edge.protocol.errors import decode_remote
from airflow_edge.protocol.frames import MAX_SITE_FRAME_BYTES
from airflow_edge.protocol.problems import WHOLE

WAIT = 10.0
"""Seconds after which a request that waits is answered with nothing: less than any usual proxy's patience, and no more
than an API server that shuts down can wait for it."""

BATCH_BYTES = 512 * 1024
"""When a body is long enough to be sent: with one more log chunk it is still below nginx's limit of 1 MiB."""

MAX_BODY_BYTES = MAX_SITE_FRAME_BYTES + 64 * 1024
"""A longer body of a request is refused. One frame of any size fits."""

MAX_FRAMES = 10_000
"""Frames in one body."""

CONTENT_TYPE = "application/vnd.msgpack"


class End(msgspec.Struct, frozen=True, array_like=True):
    """The link has ended; code and reason are those with which a WebSocket is closed."""

    code: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    reason: Annotated[str, msgspec.Meta(max_length=4096)]


class Reply(msgspec.Struct, frozen=True, array_like=True):
    """An answer of the centre."""

    link: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}$" + WHOLE)]
    """Where the next requests go."""
    frames: Annotated[tuple[msgspec.Raw, ...], msgspec.Meta(max_length=MAX_FRAMES)] = ()
    """Frames, as `frames.encode` made them."""
    end: End | None = None
    """Nothing comes after these frames."""


_encoder = msgspec.msgpack.Encoder()
_frames_decoder = msgspec.msgpack.Decoder(Annotated[list[msgspec.Raw], msgspec.Meta(max_length=MAX_FRAMES)])
_reply_decoder = msgspec.msgpack.Decoder(Reply)


def encode_frames(frames: Iterable[bytes]) -> bytes:
    """Give the body of a request with these encoded frames."""
    return _encoder.encode([msgspec.Raw(frame) for frame in frames])


def decode_frames(body: bytes) -> list[bytes]:
    """Read the body of a request; the frames in it are still encoded. Nothing at all is no frames.

    :raises RemoteProtocolError: it is not such a body.
    """
    if not body:
        return []
    return [bytes(frame) for frame in decode_remote(_frames_decoder, body, "an array of frames")]


def encode_reply(link: str, frames: Iterable[bytes] = (), end: End | None = None) -> bytes:
    """Give the body of an answer with these encoded frames."""
    return _encoder.encode(Reply(link, tuple(msgspec.Raw(frame) for frame in frames), end))


def decode_reply(body: bytes) -> Reply:
    """Read the body of an answer.

    :raises RemoteProtocolError: it is not such a body.
    """
    return decode_remote(_reply_decoder, body, "a reply of the centre")
