from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from airflow_edge.site.guarding import open_folder

OWNERS = {os.geteuid()}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "guards"
    folder.mkdir(mode=0o755)
    file = folder / "policy.toml"
    file.touch()
    return file


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757, 0o2770])
def test_a_folder_that_others_may_write_to_is_no_place_for_what_guards(file: Path, mode: int) -> None:
    assert open_folder(file, OWNERS) == ""
    file.parent.chmod(mode)
    assert f"others may write to {file.parent} (mode {mode:04o}); " in open_folder(file, OWNERS)
    assert f"chmod go-w {file.parent}" in open_folder(file, OWNERS)


def test_nobody_takes_the_place_of_another_users_file_where_a_folder_is_sticky(file: Path) -> None:
    file.parent.chmod(0o1777)
    assert open_folder(file, OWNERS) == ""


def test_the_folder_at_a_links_end_counts_as_well(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "policy.toml"
    link.symlink_to(file)
    assert open_folder(link, OWNERS) == ""
    file.parent.chmod(0o777)
    assert f"others may write to {file.parent}" in open_folder(link, OWNERS)


def test_what_is_mounted_to_be_read_only_is_nobodys_to_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.parent.chmod(0o777)
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert open_folder(file, OWNERS) == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives a folder away")
def test_a_folder_of_another_user_is_none_either(file: Path) -> None:
    os.chown(file.parent, 4712, -1)
    assert f"{file.parent} is another user's (uid 4712)" in open_folder(file, OWNERS)
    assert open_folder(file, {4712}) == ""
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o755
