from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from airflow_edge.agent.site_secrets.files import LONGEST_SECRET, SecretFiles, SourceAwayError, UnusableSecretError
from airflow_edge.protocol.local import SecretKind


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as it should be, with one connection and one variable."""
    for kind in ("connections", "variables"):
        (tmp_path / kind).mkdir(mode=0o700)
    put(tmp_path / "connections" / "plc_db", "postgres://u:hunter2@h/s\n")
    put(tmp_path / "variables" / "site_name", " Hall 7 \r\n")
    tmp_path.chmod(0o700)
    return tmp_path


def put(file: Path, text: str, mode: int = 0o600) -> Path:
    file.write_bytes(text.encode())
    file.chmod(mode)
    return file


def files(folder: Path, *, credentials: bool = False) -> SecretFiles:
    return SecretFiles(folder, os.geteuid(), credentials=credentials)


def test_a_file_is_read_anew_without_the_end_of_its_last_line(folder: Path) -> None:
    found = files(folder)
    assert found.read("connection", "plc_db") == "postgres://u:hunter2@h/s"
    assert found.read("variable", "site_name") == " Hall 7 "
    put(folder / "connections" / "plc_db", "renewed", 0o400)
    assert found.read("connection", "plc_db") == "renewed"
    assert found.names("connection") == ("plc_db",)
    assert list(found.faults()) == []


@pytest.mark.parametrize(
    "name", ["nothing", "../variables/site_name", "..", ".", "plc_db/", "plc_db\0", "", "site_name"]
)
def test_what_is_not_there_and_what_leads_elsewhere_is_none_of_the_sites(folder: Path, name: str) -> None:
    assert files(folder).read("connection", name) is None


def test_a_site_may_have_only_one_of_the_two(folder: Path) -> None:
    (folder / "variables" / "site_name").unlink()
    (folder / "variables").rmdir()
    assert files(folder).read("variable", "site_name") is None
    assert files(folder).names("variable") == ()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o700, 0o610])
def test_a_file_that_others_may_open_is_not_used(folder: Path, mode: int) -> None:
    (folder / "connections" / "plc_db").chmod(mode)
    with pytest.raises(UnusableSecretError, match=f"mode {mode:04o}.; chmod 600 {folder}") as raised:
        files(folder).read("connection", "plc_db")
    assert "hunter2" not in str(raised.value)
    assert list(files(folder).faults()) == [str(raised.value)]


def make_link(file: Path) -> None:
    file.symlink_to(file.with_name("plc_db"))


def make_pipe(file: Path) -> None:
    os.mkfifo(file, 0o600)


def make_folder(file: Path) -> None:
    file.mkdir(mode=0o600)


def make_long(file: Path) -> None:
    put(file, "x" * (LONGEST_SECRET + 1))


def make_binary(file: Path) -> None:
    put(file, "").write_bytes(b"hunter2\xff")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (make_link, "is a link"),
        (make_pipe, "is no file"),
        (make_folder, "is no file"),
        (make_long, "is longer than"),
        (make_binary, "is no UTF-8"),
    ],
)
def test_only_a_plain_file_of_text_is_used(folder: Path, make, words: str) -> None:
    make(folder / "connections" / "odd")
    with pytest.raises(UnusableSecretError, match=words) as raised:
        files(folder).read("connection", "odd")
    assert "hunter2" not in str(raised.value)
    assert raised.value.__context__ is None or raised.value.__suppress_context__


def test_another_users_file_is_not_used(folder: Path) -> None:
    # As seen by somebody else: it is neither his nor root's.
    if os.geteuid() == 0:
        os.chown(folder / "connections" / "plc_db", 4711, -1)
    else:
        pytest.skip("only root gives files away")
    with pytest.raises(UnusableSecretError, match="another user; give it to 'root'"):
        files(folder).read("connection", "plc_db")


@pytest.mark.parametrize("inner", ["", "connections"])
@pytest.mark.parametrize("kind", ["connection"])
def test_where_others_may_put_files_nothing_is_known(folder: Path, inner: str, kind: SecretKind) -> None:
    (folder / inner).chmod(0o777)
    for name in ("plc_db", "nothing"):
        with pytest.raises(SourceAwayError, match="others may write"):
            files(folder).read(kind, name)


def test_a_folder_that_is_gone_says_nothing_of_what_is_in_it(folder: Path) -> None:
    with pytest.raises(SourceAwayError, match="cannot be read"):
        files(folder / "gone").read("connection", "plc_db")
    with pytest.raises(SourceAwayError, match="cannot be read"):
        files(folder / "gone").names("connection")


def test_no_descriptor_is_left_open(folder: Path) -> None:
    found = files(folder)
    make_pipe(folder / "connections" / "odd")
    before = psutil.Process().num_fds()
    for _ in range(5):
        found.read("connection", "plc_db")
        found.read("connection", "nothing")
        found.names("connection")
        with pytest.raises(UnusableSecretError):
            found.read("connection", "odd")
    (folder / "variables").chmod(0o777)
    with pytest.raises(SourceAwayError):
        found.read("variable", "site_name")
    assert psutil.Process().num_fds() == before


def test_systemds_credentials_are_in_one_folder_and_may_have_an_access_list(tmp_path: Path) -> None:
    put(tmp_path / "connection.plc_db", "http://h", 0o440)
    put(tmp_path / "variable.site_name", "Hall 7", 0o400)
    put(tmp_path / "unit.key", "no business of tasks", 0o400)
    tmp_path.chmod(0o500)
    found = files(tmp_path, credentials=True)
    assert found.read("connection", "plc_db") == "http://h"
    assert found.read("variable", "site_name") == "Hall 7"
    assert found.read("variable", "plc_db") is None
    assert found.names("connection") == ("plc_db",)
    (tmp_path / "connection.plc_db").chmod(0o444)
    with pytest.raises(UnusableSecretError, match="0444"):
        found.read("connection", "plc_db")
    tmp_path.chmod(0o700)


def test_what_nobody_looks_for_is_named_with_what_may_be_meant(folder: Path) -> None:
    (folder / ".git").mkdir()
    assert list(files(folder).strangers()) == []
    (folder / "connexions").mkdir(mode=0o700)
    rules = put(folder / "rules.toml", "")
    put(folder / "variables" / "keys", "never to be had")
    assert list(files(folder).strangers(rules)) == [
        f"{folder}/connexions (did you mean 'connections'?)",
        f"{folder}/variables/keys (nothing can be called so)",
    ]
    assert f"{folder}/rules.toml (there are: connections, variables)" in list(files(folder).strangers())


def test_a_misspelt_credential_is_named_and_what_is_the_units_own_is_not(folder: Path) -> None:
    for name in ("connection.plc_db", "variable.site", "connections.plc_7", "tls.key", "connection"):
        put(folder / name, "x")
    found = list(files(folder, credentials=True).strangers())
    assert found == [f"{folder}/connections.plc_7 (did you mean 'connection.plc_7'?)"]
