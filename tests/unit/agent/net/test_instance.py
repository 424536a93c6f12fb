from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from airflow_edge.agent.machine.place import Place
from airflow_edge.agent.net.instance import Instance

HERE = Place(machine_id="m1", boot_id="b1", hardware_addresses=("a",), folder="/edge", inode=7)
THERE = Place(machine_id="m2", boot_id="b2", hardware_addresses=("b",), folder="/edge", inode=7)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "instance.json"


def test_an_instance_outlives_restarts_and_reboots(file: Path) -> None:
    first = Instance(file, HERE)
    assert (first.is_copy, first.last_link) == (False, "")
    first.linked("link 1")
    again = Instance(file, HERE)
    assert (again.id, again.is_copy, again.last_link) == (first.id, False, "link 1")
    rebooted = Instance(file, replace(HERE, boot_id="b2"))
    assert (rebooted.id, rebooted.is_copy) == (first.id, False)
    # What it is compared with is the newest.
    assert Instance(file, replace(HERE, boot_id="b2", inode=9)).id == first.id


def test_a_copy_is_another_instance_until_it_has_let_go(file: Path) -> None:
    first = Instance(file, HERE)
    first.linked("link 1")
    copy = Instance(file, THERE)
    assert copy.is_copy
    assert copy.id != first.id
    assert copy.last_link == ""
    # It died before it had let go of the jobs.
    again = Instance(file, THERE)
    assert (again.id, again.is_copy) == (copy.id, True)
    again.settle()
    assert not Instance(file, THERE).is_copy


def test_one_that_finds_out_that_it_is_a_copy_begins_anew(file: Path) -> None:
    first = Instance(file, HERE)
    first.renew()
    next_one = Instance(file, HERE)
    assert next_one.is_copy
    assert next_one.id != first.id


@pytest.mark.parametrize("content", [b"", b"\0\0", b'{"id": "x"}', b'{"id": "\xff"}'])
def test_a_damaged_file_is_no_other_instance_and_two_are_no_end(file: Path, content: bytes) -> None:
    first = Instance(file, HERE)
    first.linked("link 1")
    spare = file.with_name("instance.spare.json")
    for damaged in (file, spare):
        damaged.write_bytes(content)
        again = Instance(file, HERE)
        assert (again.id, again.last_link, again.is_copy) == (first.id, "link 1", False)
        again.linked("link 1")
    for damaged in (file, spare):
        damaged.write_bytes(content)
    new = Instance(file, HERE)
    assert (new.is_copy, new.id != first.id) == (False, True)
    assert Instance(file, HERE).id == new.id


def test_a_folder_that_cannot_be_written_to_is_borne(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    instance = Instance(tmp_path / "file" / "instance.json", HERE)
    instance.linked("link")
    assert instance.last_link == "link"
    assert "cannot be written" in caplog.text
