from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from pathlib import Path
from airflow_edge.site.rotation import Rotation
path = Path(sys.argv[1])
output = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
os.dup2(output, 1)
os.dup2(output, 2)
log = Rotation(path, max_size=100, backups=2)
for number in range(30):
    os.write(1 + number % 2, f"number {number}\\n".encode())
    log.rotate(2)
# Another runtime has moved the file.
path.rename(path.with_name("away"))
log.rotate(2)
os.write(2, b"here again\\n")
"""


def test_what_is_written_to_either_output_is_somewhere_in_order(tmp_path: Path) -> None:
    path = tmp_path / "runtime.log"
    subprocess.run([sys.executable, "-c", PROGRAM, path], check=True, timeout=60)
    assert path.read_text() == "here again\n"
    assert not (tmp_path / "runtime.log.3").exists()
    files = [tmp_path / "runtime.log.2", tmp_path / "runtime.log.1", tmp_path / "away"]
    numbers = [int(line.split()[1]) for file in files for line in file.read_text().splitlines()]
    assert numbers == list(range(30 - len(numbers), 30))
    assert len(numbers) > 15
