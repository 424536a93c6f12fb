"""What happens when the wheel is replaced under a worker at work, as `pip install --upgrade` does it."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from harness import environments
from harness.waiting import wait_for
from tests.chaos.deployment import Place
from tests.chaos.stage import START_TIMEOUT

pytestmark = pytest.mark.chaos

log = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
UV = ROOT / ".build" / "uv" / "bin" / "uv"
LINKED_AGAIN = 10.0
"""Seconds in which the next agent is linked: three, and what a busy machine adds. `--log-cli-level INFO` shows them."""


@pytest.mark.parametrize("replaced_by", ["SIGHUP", "SIGKILL"])
def test_the_wheel_is_replaced_during_a_task(stage, tmp_path, replaced_by):
    place = stage.place("site-1")
    old, new = (build_wheel(tmp_path / version, version) for version in ("7.0.0", "7.1.0"))
    with another_venv(place, tmp_path / "venv", old) as venv:
        (old_runtime,) = place.runtimes()
        goes_on = stage.work_at("site-1", seconds=45, lines=100)
        start = goes_on.waits_for("start")

        # The worst moment of an upgrade: the old files are gone, the new ones are not there yet.
        uv("uninstall", venv, "airflow-edge")
        meanwhile = stage.work_at("site-1", lines=10)
        meanwhile.succeeds()
        meanwhile.is_well()

        install(venv, new)
        ends_on_new_files = stage.work_at("site-1", lines=10)
        ends_on_new_files.succeeds()
        place.agent.send_signal(signal.Signals[replaced_by])
        place.agent.wait(timeout=START_TIMEOUT)
        assert place.supervisors()
        began = time.monotonic()
        place.site.start_worker()
        took = time.monotonic() - began
        log.info("linked again %.1f s after its start", took)
        assert took <= LINKED_AGAIN
        assert place.site.status()["version"] == "7.1.0"
        query = "SELECT agent_version FROM airflow_edge_worker WHERE name = 'site-1'"
        wait_for(lambda: stage.deployment.airflow.database.value(query) == "7.1.0", "the centre to know", timeout=20)

        # New tasks run in the new version, beside the one that runs in the old.
        afterwards = stage.work_at("site-1", lines=10)
        afterwards.succeeds()
        assert place.site.status()["runtime"]["pid"] != old_runtime.pid
        assert old_runtime.is_running()
        assert not goes_on.entries("end")

        goes_on.succeeds()
        assert goes_on.waits_for("end").pid == start.pid
        wait_for(lambda: old_runtime not in place.runtimes(), "the old runtime to end", timeout=START_TIMEOUT)
        for work in (ends_on_new_files, afterwards, goes_on):
            work.is_well()


def build_wheel(folder: Path, version: str) -> Path:
    """Build the wheel of this tree under another version."""
    for name in ("pyproject.toml", "README.md", "LICENSE", "NOTICE"):
        folder.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    package = folder / "src" / "airflow_edge" / "__init__.py"
    lines = package.read_text().rstrip("\n").split("\n")
    changed = [f'__version__ = "{version}"' if line.startswith("__version__") else line for line in lines]
    package.write_text("\n".join(changed) + "\n")
    command: list[str | Path] = [UV, "build", "--quiet", "--wheel", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([*command, "--out-dir", folder / "dist", folder], check=True)
    (wheel,) = (folder / "dist").glob(f"airflow_edge-{version}-*.whl")
    return wheel


def install(venv: Path, wheel: Path) -> None:
    uv("install", venv, "--no-deps", "--reinstall", str(wheel))


def uv(command: str, venv: Path, *words: str) -> None:
    subprocess.run([UV, "pip", command, "--quiet", "--python", venv / "bin" / "python", *words], check=True)


def link(source: str, target: str) -> None:
    """Have the file there too: an installer puts a new one in its place and does not write into it."""
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:
        shutil.copy2(source, target, follow_symlinks=False)


@contextmanager
def another_venv(place: Place, venv: Path, wheel: Path):
    """Have the site work with what is installed in an environment of its own, which may be changed at will."""
    place.site.stop(drain=True)
    shutil.copytree(environments.worker(), venv, symlinks=True, copy_function=link)
    install(venv, wheel)
    before, place.site.venv = place.site.venv, venv
    try:
        place.site.start_worker()
        wait_for(place.runtimes, "the runtime", timeout=START_TIMEOUT)
        wait_for(lambda: place.site.status()["runtime"]["pid"], "the runtime to be warm", timeout=START_TIMEOUT)
        yield venv
        place.site.stop(drain=True)
    finally:
        place.site.close()
        place.site.venv = before
