"""What can go wrong on the line, and whose fault it is.

::

    ProtocolError
    ├── LocalProtocolError        this side broke the rules: a bug here
    │   └── IllegalTransitionError
    ├── RemoteProtocolError       the other side broke the rules
    └── RejectedError             the centre does not serve this worker
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec

from airflow_edge.texts import one_line

T = TypeVar("T")

_PATTERN: Final = re.compile(r"matching regex .*?(?= - at |$)", re.DOTALL)


class ProtocolError(Exception):
    """Base of every error of the protocol."""


class LocalProtocolError(ProtocolError):
    """This side tried something the protocol forbids; nothing was changed."""


class IllegalTransitionError(LocalProtocolError):
    """An event that the current state does not know; nothing was changed."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something the protocol forbids; the link has to be closed."""


def decode_remote(decoder: msgspec.msgpack.Decoder[T], data: bytes, what: str) -> T:
    """Decode what the other side has sent.

    :param what: what it should be, for the message
    :raises RemoteProtocolError: it is something else.
    """
    try:
        return decoder.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        # It may quote what was sent; a pattern says nothing to people, and would leave no room for where it is.
        said = _PATTERN.sub("of another form", str(error))
        raise RemoteProtocolError(one_line(f"not {what}: {said}")) from error


class RejectedError(ProtocolError):
    """The centre does not serve this worker; the text says what to do."""

    def __init__(self, code: str, message: str) -> None:
        """:param code: for programs, see `problems.Code`"""
        super().__init__(message)
        self.code = code
