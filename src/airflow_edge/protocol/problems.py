"""The answers of the gateway that are not a success, the ends of links, and the documents around enrolment (JSON)."""

from __future__ import annotations

import re
from enum import IntEnum, StrEnum
from http import HTTPStatus
from typing import Annotated, Final, TypeAlias

import msgspec

WORKER_NAME: Final = r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,199}$"
WORKER_NAME_RULE: Final = "a worker's name begins with a letter or digit and has up to 200 letters, digits and . _ @ -"
WHOLE: Final = r"(?!\n)"
"""After a pattern's `$`, which lets a newline pass in Python."""
QUEUE_NAME: Final = r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]{1,256}$" + WHOLE
QUEUE_NAME_RULE: Final = "a queue's name has between 1 and 256 characters, none of them a control character"
QueueName: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern=QUEUE_NAME)]
_NO_TEXT: Final = re.compile(r"[\x00\ud800-\udfff]")


def is_queue_name(text: str) -> bool:
    """Say whether a queue may be called so: the same at each door, for one bad name would be in statements for all."""
    return re.fullmatch(QUEUE_NAME, text) is not None


def is_text(text: str) -> bool:
    """Say whether it is a text to every database and on the wire: without NUL, and no half of a surrogate pair."""
    return _NO_TEXT.search(text) is None


_RENAMED: Final = {413: "Content Too Large", 422: "Unprocessable Content"}
"""Names that Python took over from RFC 9110 with 3.13."""


def title_of(status: int) -> str:
    """Give the name of a status, whatever Python this is."""
    return _RENAMED.get(status) or HTTPStatus(status).phrase


class Code(StrEnum):
    """Why the gateway said no; stable, for programs."""

    API_NOT_ENABLED = "api_not_enabled"
    MALFORMED = "malformed"
    UNKNOWN_ADDRESS = "unknown_address"
    UNKNOWN_WORKER = "unknown_worker"
    BAD_TOKEN = "bad_token"  # noqa: S105 - the name of an error, not a secret
    CLOCK_SKEW = "clock_skew"
    REPLAYED = "replayed"
    REVOKED = "revoked"
    NOT_YOURS = "not_yours"
    ENROLLMENT_REFUSED = "enrollment_refused"
    NAME_TAKEN = "name_taken"
    PROTOCOL_VERSION = "protocol_version"
    NO_QUEUES = "no_queues"
    NOT_READY = "not_ready"
    TOO_SLOW = "too_slow"
    TOO_MANY = "too_many"
    OTHER_INSTANCE = "other_instance"
    """Another machine has the worker's key, and is alive."""
    COPIED_INSTANCE = "copied_instance"
    """The same, and its state folder, or this one, is a copy of the other's: both claim to be one instance."""
    LINK_ELSEWHERE = "link_elsewhere"
    """This process has no such link: another one has it, over another connection, or it has ended."""


class CloseCode(IntEnum):
    """Why a link has ended: the code with which a WebSocket is closed (RFC 6455, 7.4), and the one in `polling.End`."""

    NORMAL = 1000
    CUT = 1006
    """It ended without a word."""
    SHUTTING_DOWN = 1012
    PROTOCOL_ERROR = 4400
    REVOKED = 4403
    SILENT = 4408
    REPLACED = 4409
    UNREADY = 4503


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every error (RFC 9457 with a code); `detail` tells a person what to do."""

    status: int
    code: str
    detail: str
    title: str = ""
    centre_time: float | None = None
    """Seconds since the epoch, by the centre's clock; given where that is what the request failed of."""


def read_problem(body: bytes) -> Problem | None:
    """Read the body of an answer; None if it is none of the gateway's errors."""
    try:
        return msgspec.json.decode(body, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


class KeyLink(msgspec.Struct, frozen=True, kw_only=True):
    """One of the centre's keys (Ed25519), and who introduces it."""

    key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)]
    """Its public half, hex."""
    signature: Annotated[str, msgspec.Meta(pattern=r"^([0-9a-f]{128})?$" + WHOLE)]
    """Of the key before, over `signatures.introduction`, hex; empty for the first one."""


class EnrollRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a site sends to become a worker, with a token signed by the new key in the Authorization header.

    Either `token_key`, `token_signature` and `signed_at` are given (an enrolment token's, which is not sent itself), or
    `shared_secret_token` (a JWT signed with `[api_auth] jwt_secret`, where `[edge] allow_shared_secret_enrollment`
    permits it). Both are for this key, this name and these queues only: see `protocol.enrolment`.
    """

    public_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)]
    """The Ed25519 public key, hex."""
    name: Annotated[str, msgspec.Meta(pattern=WORKER_NAME + WHOLE)]
    token_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)] | None = None
    """The public half of the enrolment token's key pair (Ed25519), hex."""
    token_signature: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{128}$" + WHOLE)] | None = None
    """With the private half, over the `statement`; hex."""
    signed_at: Annotated[int, msgspec.Meta(ge=0, le=2**53)] = 0
    """Seconds since the epoch, by the site's clock."""
    shared_secret_token: Annotated[str, msgspec.Meta(max_length=4096)] | None = None
    queues: Annotated[tuple[QueueName, ...], msgspec.Meta(max_length=1000)] | None = None
    """Only with a shared secret: the queues to serve. A token brings its own."""


class EnrollReply(msgspec.Struct, frozen=True, kw_only=True):
    """What the centre made of it."""

    worker_id: str
    name: str
    queues: tuple[str, ...]
    team_name: str | None = None
    centre_keys: tuple[KeyLink, ...] = ()
    """The centre's keys from the one that the enrolment token names on, oldest first."""
    centre_proof: str = ""
    """With the shared secret: HMAC-SHA256 of `signatures.enrolment_proof` for the last of them, hex."""
