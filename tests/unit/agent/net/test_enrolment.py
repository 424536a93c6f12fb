from __future__ import annotations

import hashlib
import hmac
import socket

import msgspec
import pytest
from nacl.signing import SigningKey

from airflow_edge.agent.errors import ConfigError, InsecureUrlError, RefusedError, WrongUrlError
from airflow_edge.agent.net.enrolment import SharedSecret, _centre_key, default_name, enroll
from airflow_edge.protocol.enrolment import Token, write_token
from airflow_edge.protocol.problems import EnrollReply, EnrollRequest, KeyLink
from airflow_edge.protocol.signatures import enrolment_proof, fingerprint, introduction

TOKEN = write_token(bytes(32), "x" * 22)


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("press-7", "press-7"),
        ("press 7.factory", "press-7.factory"),
        ("_underscore", "underscore"),
        ("größe", "gr-e"),
        ("ü", "worker"),
        ("x" * 300, "x" * 200),
    ],
)
def test_the_hosts_name_is_made_fit(monkeypatch, host, name):
    monkeypatch.setattr(socket, "gethostname", lambda: host)
    assert default_name() == name
    msgspec.convert({"public_key": "0" * 64, "name": name}, EnrollRequest)


@pytest.mark.parametrize("name", ["", "a b", "-a", "größe", "a/b", "x" * 201])
async def test_a_name_that_cannot_be_is_refused_before_anything_is_made(tmp_path, name):
    with pytest.raises(ConfigError, match="--name"):
        await enroll(tmp_path / "state" / "worker.json", "https://centre", name, token=TOKEN)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"public_key": "0" * 64, "name": name}, EnrollRequest)
    assert list(tmp_path.iterdir()) == []


async def test_what_is_no_url_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(WrongUrlError, match="https://airflow"):
        await enroll(tmp_path / "state" / "worker.json", "centre", "press", token=TOKEN)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("token", ["", "edge_", "edge_x", TOKEN + "x", TOKEN + "\n", TOKEN[:-1], "x" + TOKEN])
async def test_what_is_no_token_is_refused_before_anything_is_made(tmp_path, token):
    with pytest.raises(ConfigError, match=r"no enrolment token.*enroll-token create"):
        await enroll(tmp_path / "state" / "worker.json", "https://centre", "press", token=token)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack(8)
async def test_attack_08_http_to_another_machine_is_refused_before_anything_is_made(tmp_path):
    with pytest.raises(InsecureUrlError, match=r"http://centre.*--insecure"):
        await enroll(tmp_path / "state" / "worker.json", "http://centre", "press", token=TOKEN)
    assert list(tmp_path.iterdir()) == []


def chain(*keys):
    """Links of keys, each of which introduces the next."""
    public = [bytes(key.verify_key) for key in keys]
    signed = [
        "",
        *(key.sign(introduction(after)).signature.hex() for key, after in zip(keys, public[1:], strict=False)),
    ]
    return tuple(KeyLink(key=key.hex(), signature=by) for key, by in zip(public, signed, strict=False))


def reply(*keys, proof=""):
    return EnrollReply(worker_id="w", name="n", queues=(), centre_keys=chain(*keys), centre_proof=proof)


OLD, NAMED, NEW, THIEF = (SigningKey(bytes([number]) * 32) for number in range(4))
READ = Token(bytes(32), fingerprint(bytes(NAMED.verify_key)))


def test_the_centres_newest_key_is_pinned_which_the_one_of_the_token_leads_to():
    assert _centre_key(reply(NAMED), READ, None, "00") == bytes(NAMED.verify_key).hex()
    assert _centre_key(reply(OLD, NAMED, NEW), READ, None, "00") == bytes(NEW.verify_key).hex()


@pytest.mark.attack(8)
def test_attack_08_an_answer_without_the_centres_key_enrols_nobody():
    secret = SharedSecret("s" * 64)
    forged = (*chain(OLD, NAMED), *chain(THIEF))
    for answer in (reply(), reply(THIEF), msgspec.structs.replace(reply(), centre_keys=forged)):
        with pytest.raises(RefusedError, match="the centre's"):
            _centre_key(answer, READ, None, "00")
        with pytest.raises(RefusedError, match="the shared secret vouches for"):
            _centre_key(answer, None, secret, "00")


def test_the_shared_secret_vouches_for_the_centres_key_to_this_worker_only():
    key = bytes(NAMED.verify_key).hex()
    proof = hmac.new(b"s" * 64, enrolment_proof("00", key), hashlib.sha256).hexdigest()
    assert _centre_key(reply(NAMED, proof=proof), None, SharedSecret("s" * 64), "00") == key
    for other, worker in (("t", "00"), ("s", "01")):
        with pytest.raises(RefusedError):
            _centre_key(reply(NAMED, proof=proof), None, SharedSecret(other * 64), worker)
