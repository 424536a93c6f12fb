from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.own_log.file import RotatingFile

PROGRAM = """
import logging, os, sys
from pathlib import Path
from airflow_edge.agent.own_log.file import RotatingFile
path = Path(sys.argv[1])
output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(output, 2)
logging.getLogger().addHandler(RotatingFile(path, max_size=1000, backups=2))
for number in range(100):
    logging.getLogger("airflow_edge").error("number %d", number)
os.write(2, b"the last words\\n")
"""


def test_stderr_goes_along_to_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "agent.log"
    subprocess.run([sys.executable, "-c", PROGRAM, path], check=True, timeout=60)
    assert path.read_text().endswith("number 99\nthe last words\n")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["agent.log", "agent.log.1", "agent.log.2"]
    for file in tmp_path.iterdir():
        assert file.stat().st_size <= 1100
        assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match="nowhere") as caught:
        RotatingFile(tmp_path / "nowhere" / "agent.log", max_size=1, backups=1)
    assert caught.value.exit_status == 1


def test_what_is_in_the_place_of_the_file_is_moved_aside(tmp_path: Path) -> None:
    (tmp_path / "agent.log").mkdir()
    RotatingFile(tmp_path / "agent.log", max_size=1, backups=1).close()
    assert (tmp_path / "agent.log").is_file()
    assert (tmp_path / "agent.log.damaged-1").is_dir()
