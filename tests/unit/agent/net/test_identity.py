from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from airflow_edge.agent.errors import InsecureUrlError, NotEnrolledError, OtherUserError
from airflow_edge.agent.net.identity import Identity, PendingKey, make_private_folder, write_private
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.gateway.access import authentication


@pytest.fixture
def file(tmp_path):
    return tmp_path / "state" / "worker.json"


@pytest.fixture
def identity(file):
    pending = PendingKey.load_or_generate(file.with_name("enrolling.json"), "press-7")
    return pending.enrolled(worker_id="1234", api_url="https://centre", queues=("press", "größe"), centre_key="08" * 32)


def test_it_is_the_same_when_read_again(identity, file):
    identity.save(file)
    found = Identity.load(file)
    assert (found.worker_id, found.name, found.api_url, found.queues, found.public_key) == (
        "1234",
        "press-7",
        "https://centre",
        ("press", "größe"),
        identity.public_key,
    )


def test_one_that_was_renamed_knows_what_it_was_called_first(identity, file):
    for name in ("press-8", "press-9"):
        identity.name = name
        identity.save(file)
        identity = Identity.load(file)
        assert (identity.name, identity.first_name) == (name, "press-7")


def test_its_token_holds_for_one_request_and_is_signed_with_its_key(identity):
    token = identity.token("GET", "/v1/link")
    authentication.verify(token, bytes.fromhex(identity.public_key))
    claims = authentication.read_claims(token)
    authentication.check_request(claims, method="GET", path="/v1/link")
    authentication.check_time(claims, now=time.time())
    assert claims.sub == "1234"
    assert authentication.read_claims(identity.token("GET", "/v1/link")).jti != claims.jti


def test_a_pending_key_signs_as_one_that_enrols(file):
    token = PendingKey.load_or_generate(file, "a").token("POST", "/v1/enroll")
    assert authentication.read_claims(token).sub == "enrol"


def test_a_pending_key_is_kept_for_its_name(file):
    first = PendingKey.load_or_generate(file, "a")
    assert PendingKey.load_or_generate(file, "a").public_key == first.public_key
    other = PendingKey.load_or_generate(file, "b")
    assert other.public_key != first.public_key
    assert PendingKey.load_or_generate(file, "b").public_key == other.public_key


def test_the_key_is_for_this_user_only(identity, file):
    identity.save(file)
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_written_of_it_does_not_show_the_key(identity, file):
    pending = PendingKey.load_or_generate(file.with_name("enrolling.json"), "press-7")
    for signer in (identity, pending):
        assert signer.private_key not in f"{signer} {signer!r}"


@pytest.mark.held("a key that others may read")
def test_a_key_that_others_may_read_is_not_used(identity, file):
    identity.save(file)
    file.chmod(0o640)
    with pytest.raises(NotEnrolledError, match=r"0640.*chmod 600"):
        Identity.load(file)


def test_without_a_file_the_error_says_what_to_do(file):
    with pytest.raises(NotEnrolledError, match="enroll-token create"):
        Identity.load(file)


@pytest.mark.parametrize("content", ["", "{", "{}", '{"worker_id": 1}'])
def test_a_damaged_file_says_so(file, content):
    write_private(file, content.encode())
    with pytest.raises(NotEnrolledError, match="damaged"):
        Identity.load(file)


def test_a_key_that_is_none_says_so(identity, file):
    identity.save(file)
    stored = json.loads(file.read_text())
    write_private(file, json.dumps({**stored, "private_key": "00"}).encode())
    with pytest.raises(NotEnrolledError, match="damaged"):
        Identity.load(file)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(file, monkeypatch):
    write_private(file, b"old")

    def no_disk(descriptor):
        raise OSError("no space left")

    monkeypatch.setattr("os.fsync", no_disk)
    with pytest.raises(OSError, match="no space"):
        write_private(file, b"new")
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert file.read_bytes() == b"old"


@pytest.mark.held("another user of the machine: no socket, file or folder")
def test_a_state_folder_is_closed_to_others(tmp_path):
    open_folder = tmp_path / "open"
    open_folder.mkdir(mode=0o755)
    make_private_folder(open_folder)
    assert open_folder.stat().st_mode & 0o777 == 0o700


def test_a_state_folder_that_is_a_file_is_an_error_with_advice(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(NotEnrolledError, match="state_dir"):
        make_private_folder(tmp_path / "file")


def test_the_certificates_of_the_enrolment_are_kept_for_the_worker(tmp_path):
    trust = Trust(tmp_path / "ca.pem", tmp_path / "own.pem", None)
    pending = PendingKey.load_or_generate(tmp_path / "pending", "press")
    file = tmp_path / "worker.json"
    pending.enrolled(worker_id="w", api_url="https://centre", queues=("q",), centre_key="08" * 32, trust=trust).save(
        file
    )
    assert Identity.load(file).trust == trust
    pending.enrolled(worker_id="w", api_url="https://centre", queues=("q",), centre_key="08" * 32).save(file)
    assert Identity.load(file).trust == SYSTEM


def test_a_folder_that_only_root_may_make_is_asked_for_with_the_line_that_makes_it(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(OtherUserError, match=f"sudo install -d -o .+ -m 700 {tmp_path}/edge$"):
        make_private_folder(tmp_path / "edge")


@pytest.mark.attack(8)
def test_attack_08_a_way_without_tls_is_gone_only_if_that_was_allowed(identity, file):
    assert identity.gateway(None) == "https://centre/edge_worker"
    assert identity.gateway("http://127.0.0.1:8080") == "http://127.0.0.1:8080/edge_worker"
    with pytest.raises(InsecureUrlError, match="--insecure"):
        identity.gateway("http://centre")
    identity.insecure = True
    identity.save(file)
    assert Identity.load(file).gateway("http://centre") == "http://centre/edge_worker"
