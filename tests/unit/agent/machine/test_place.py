from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from airflow_edge.agent.machine.place import Place, look_around

HERE = Place(machine_id="m1", boot_id="b1", hardware_addresses=("02:00:00:00:00:01",), folder="/var/lib/edge", inode=7)
places = st.builds(
    Place,
    machine_id=st.sampled_from(["", "m1", "m2"]),
    boot_id=st.sampled_from(["", "b1", "b2"]),
    hardware_addresses=st.lists(st.sampled_from(["a", "b", "c"]), unique=True).map(tuple),
    folder=st.sampled_from(["/one", "/two"]),
    inode=st.integers(0, 2),
)


@pytest.mark.parametrize(
    ("change", "same"),
    [
        pytest.param({}, True, id="restart"),
        pytest.param({"boot_id": "b2"}, True, id="reboot"),
        pytest.param({"boot_id": "b2", "inode": 8}, True, id="backup restored in place, on a machine set up anew"),
        pytest.param({"inode": 8}, True, id="backup restored in place"),
        pytest.param({"hardware_addresses": ("02:00:00:00:00:02",)}, True, id="new container, same volume"),
        pytest.param({"hardware_addresses": ("x", "02:00:00:00:00:01")}, True, id="another interface"),
        pytest.param({"folder": "/moved"}, True, id="renamed folder"),
        pytest.param({"folder": "/copy", "inode": 8}, False, id="copied folder on the same machine"),
        pytest.param({"inode": 8, "hardware_addresses": ("y",)}, False, id="copied volume in another container"),
        pytest.param({"boot_id": "b2", "machine_id": "m2"}, False, id="another machine"),
        pytest.param({"boot_id": "b2", "hardware_addresses": ("y",)}, False, id="image with one machine id"),
        pytest.param({"machine_id": "", "boot_id": "", "hardware_addresses": (), "inode": 0}, True, id="unknown"),
    ],
)
def test_which_places_may_be_one(change: dict[str, object], same: bool) -> None:
    there = replace(HERE, **change)
    assert HERE.may_be(there) is same
    assert there.may_be(HERE) is same


@given(places, places)
def test_what_is_not_known_is_never_another_place(one: Place, other: Place) -> None:
    assert one.may_be(one)
    assert one.may_be(other) == other.may_be(one)
    if one.may_be(other):
        assert one.may_be(replace(other, machine_id=""))
    assert Place().may_be(one)


def test_this_place_is_known_again(tmp_path: Path) -> None:
    here = look_around(tmp_path)
    assert here == look_around(tmp_path)
    assert here.inode
    assert here.folder == str(tmp_path)
    assert look_around(tmp_path / "absent").inode == 0
