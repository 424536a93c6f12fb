from __future__ import annotations

from typing import Any

import pytest
from nacl.signing import SigningKey

from airflow_edge.agent.net.centre_key import Pin, follow
from airflow_edge.protocol.errors import RemoteProtocolError
from airflow_edge.protocol.frames import CentreFrame, decode_centre_frame
from airflow_edge.protocol.messages import Offer, Order, Ping, Signed, Stop, Void
from airflow_edge.protocol.problems import KeyLink
from airflow_edge.protocol.signatures import LinkContext, introduction, seal

KEYS = [SigningKey(bytes([number]) * 32) for number in range(4)]
HERE = LinkContext("worker", "nonce", "session")
JOB: dict[str, Any] = {"job_id": "00000000-0000-4000-8000-000000000001", "assignment": 1}
OFFER = Offer(**JOB, kind="callback", queue="q", slots=1, lease=1, workload=b"{}")
ACTS = [OFFER, Stop(**JOB, reason=""), Void(**JOB, reason=""), Order(order_id=JOB["job_id"], kind="shutdown")]


def public(key: SigningKey) -> str:
    return bytes(key.verify_key).hex()


def link(before: SigningKey, key: SigningKey) -> KeyLink:
    return KeyLink(key=public(key), signature=before.sign(introduction(bytes(key.verify_key))).signature.hex())


def sealed(key: SigningKey, body=OFFER, where: LinkContext = HERE, seq: int = 1) -> CentreFrame:
    return decode_centre_frame(seal(CentreFrame(seq, 0, body), where, lambda said: key.sign(said).signature))


def signed(key: SigningKey) -> Signed:
    body = sealed(key).body
    assert isinstance(body, Signed)
    return body


def pin() -> tuple[Pin, list[str]]:
    kept: list[str] = []
    return Pin(public(KEYS[0]), kept.append), kept


@pytest.mark.parametrize("act", ACTS)
def test_what_the_centre_has_signed_is_done(act) -> None:
    assert pin()[0].opened(sealed(KEYS[0], act), HERE) == CentreFrame(1, 0, act)


@pytest.mark.attack(8)
@pytest.mark.parametrize("act", ACTS)
def test_attack_08_what_nobody_has_signed_is_not_done(act) -> None:
    with pytest.raises(RemoteProtocolError, match=r"came without the centre's signature.*centre-key show"):
        pin()[0].opened(CentreFrame(1, 0, act), HERE)


@pytest.mark.attack(8)
@pytest.mark.parametrize(
    "frame",
    [
        sealed(KEYS[1]),
        sealed(KEYS[0], where=LinkContext("another", "nonce", "session")),
        sealed(KEYS[0], where=LinkContext("worker", "another", "session")),
        sealed(KEYS[0], where=LinkContext("worker", "nonce", "another")),
        CentreFrame(2, 0, signed(KEYS[0])),
        CentreFrame(1, 0, Signed(data=b"\x80", signature=bytes(64))),
        CentreFrame(1, 0, Signed(data=signed(KEYS[0]).data + b"x", signature=signed(KEYS[0]).signature)),
    ],
    ids=["key", "worker", "link", "session", "number", "nothing", "more"],
)
def test_attack_08_what_was_signed_by_another_or_for_elsewhere_is_not_done(frame) -> None:
    with pytest.raises(RemoteProtocolError, match="not signed with the centre's key"):
        pin()[0].opened(frame, HERE)


def test_what_only_tells_something_needs_no_signature() -> None:
    assert pin()[0].opened(CentreFrame(0, 3, Ping()), HERE) == CentreFrame(0, 3, Ping())


def test_a_key_leads_to_the_newest_which_is_kept() -> None:
    held, kept = pin()
    held.follow([link(KEYS[0], KEYS[1]), link(KEYS[1], KEYS[2])])
    assert kept == [public(KEYS[2])]
    assert held.opened(sealed(KEYS[2]), HERE).body == OFFER
    with pytest.raises(RemoteProtocolError):
        held.opened(sealed(KEYS[0]), HERE)
    held.follow([])
    assert len(kept) == 1


@pytest.mark.parametrize(
    "links",
    [
        [link(KEYS[3], KEYS[3])],
        [link(KEYS[0], KEYS[1]), link(KEYS[0], KEYS[2])],
        [KeyLink(key=public(KEYS[1]), signature="")],
        [KeyLink(key=public(KEYS[1]), signature="00" * 64)],
    ],
    ids=["by itself", "a gap", "no signature", "no good one"],
)
def test_a_key_that_the_one_before_does_not_introduce_is_not_taken(links) -> None:
    held, kept = pin()
    with pytest.raises(RemoteProtocolError, match="not signed by the one before"):
        held.follow(links)
    assert kept == []
    assert held.opened(sealed(KEYS[0]), HERE).body == OFFER
    with pytest.raises(RemoteProtocolError):
        follow(public(KEYS[0]), links)
