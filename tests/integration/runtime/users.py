"""Two real users of this machine, for those who test as root what one of them can do to the other."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SHOWN = """
mount --make-rprivate /
mount --bind "$0" "$1"
mount -t tmpfs -o mode=755 none "$2"
mkdir -p "$0"
mount --bind "$1" "$0"
shift 2
exec "$@"
"""
"""Have the folder `$0`, somewhere below the closed `$2`, be open to all that run below this; `$1` is a spare one."""


@contextmanager
def two_users() -> Iterator[tuple[pwd.struct_passwd, pwd.struct_passwd]]:
    """Make an agent's and a task's user."""
    if sys.platform != "linux" or os.getuid() != 0 or not shutil.which("useradd"):
        pytest.skip("only root can be two users: run this as root, on a Linux with useradd")
    suffix = uuid.uuid4().hex[:6]
    names = [f"edge-{what}-{suffix}" for what in ("agent", "task")]
    try:
        for name in names:
            subprocess.run(["useradd", "--system", "--home-dir", f"/tmp/{name}", name], check=True)
        agent, task = (pwd.getpwnam(name) for name in names)
        yield agent, task
    finally:
        for name in names:
            subprocess.run(["userdel", name], check=False, capture_output=True)


@contextmanager
def third_user(python: Path, task: pwd.struct_passwd, *, without: str = "") -> Iterator[pwd.struct_passwd]:
    """Make one that the task's user may be by sudo, to run Python, as the documentation says it but for a part."""
    if not shutil.which("sudo") or not Path("/etc/sudoers.d").is_dir():
        pytest.skip("there is no sudo: install it")
    name = f"edge-third-{uuid.uuid4().hex[:6]}"
    rule = Path("/etc/sudoers.d", name)
    try:
        subprocess.run(["useradd", "--system", "--home-dir", "/nonexistent", name], check=True)
        rule.touch(mode=0o440)
        rule.write_text(f"{_documented_rule(python.parent.parent, task.pw_name, name).replace(without, '')}\n")
        yield pwd.getpwnam(name)
    finally:
        rule.unlink(missing_ok=True)
        subprocess.run(["userdel", name], check=False, capture_output=True)


def _documented_rule(environment: Path, task: str, third: str) -> str:
    page = Path(__file__).parents[3] / "docs" / "how-to" / "run-as-a-service.md"
    (line,) = re.findall(r"`(airflow-task ALL=[^`]+)`", page.read_text())
    for example, real in (("airflow-task", task), ("report", third), ("/opt/airflow-edge", str(environment))):
        line = line.replace(example, real)
    return line


@contextmanager
def open_folder() -> Iterator[Path]:
    """Make a folder through which others may pass, unlike those of pytest."""
    folder = Path(tempfile.mkdtemp(prefix="edge-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def showing(python: Path, spare: Path) -> list[str]:
    """Give what to put before a command, so that others than root can use this interpreter, wherever it lies."""
    real = python.resolve()
    closed = [folder for folder in real.parents if not folder.stat().st_mode & 0o001]
    if not closed:
        return []
    home = real.parents[len(real.parents) - len(closed[-1].parents) - 2]
    spare.mkdir()
    return ["unshare", "--mount", "sh", "-c", _SHOWN, str(home), str(spare), str(closed[-1])]
