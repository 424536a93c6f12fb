from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import pytest

from airflow_edge.protocol.local import JobFile, Outcome
from airflow_edge.site.files import DamagedError, clear, decode, is_there, make_folder, move_aside, read
from harness.processes import without_descriptors

OUTCOME = Outcome(job_id="a", assignment=1, exit_code=3)


def test_a_file_is_read_missing_damaged_or_unknown(tmp_path: Path) -> None:
    path = tmp_path / "outcome.json"
    assert read(path, Outcome) is None
    path.write_bytes(msgspec.json.encode(OUTCOME))
    assert read(path, Outcome) == OUTCOME
    with without_descriptors(), pytest.raises(OSError) as caught:
        read(path, Outcome)
    assert caught.value.errno == errno.EMFILE
    for place in (tmp_path, path / "below"):
        with pytest.raises(DamagedError):
            read(place, Outcome)


@pytest.mark.parametrize(
    "content",
    [b"", b"\0" * 10, b"{", b'{"job_id":"\xff"}', b"[" * 100_000, b"null", b"9" * 5000, b'{"job_id":"\\ud800"}'],
)
@pytest.mark.parametrize("kind", [Outcome, JobFile, dict[str, str]])
def test_what_is_not_understood_is_damage_of_whatever_kind(content: bytes, kind: type) -> None:
    with pytest.raises(DamagedError):
        decode(content, kind)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EIO, errno.ESTALE, errno.EACCES])
def test_whether_something_is_there_may_be_unknown(
    tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_there(tmp_path)
    assert not is_there(tmp_path / "nothing" / "below")

    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "lstat", fails)
    with pytest.raises(OSError):
        is_there(tmp_path)


def test_nothing_is_deleted_that_is_not_understood(tmp_path: Path) -> None:
    path = tmp_path / "jobs"
    for number in (1, 2):
        path.write_text(f"{number}")
        make_folder(path)
        assert path.is_dir()
        assert (tmp_path / f"jobs.damaged-{number}").read_text() == f"{number}"
        path.rmdir()
    assert move_aside(path).name == "jobs.damaged-3"


def test_room_is_made_for_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    clear(path)
    path.touch()
    clear(path)
    (path / "something").mkdir(parents=True)
    clear(path)
    assert not is_there(path)
    assert is_there(tmp_path / "control.sock.damaged-1" / "something")
