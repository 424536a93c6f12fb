"""The operator's page as it is handed out: current, small, from a lock without hosts, and built only once."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import hatch_build
from airflow_edge.page.bundle import read_bundle

ROOT = Path(__file__).parents[2]
MOST_BYTES = 150 * 1024
"""Of all files, as they go over the wire; edge3's page has 179 KB."""


def test_it_is_what_its_sources_are_built_to():
    assert hatch_build.is_current(), "run `make page`"


def test_it_is_small():
    assert sum(len(gzip.compress(content)) for content in read_bundle().files.values()) <= MOST_BYTES


def test_it_has_nothing_that_its_host_has():
    """A second React breaks hooks, a second router links, a second Chakra knows not whether it is dark."""
    code = b"".join(content for name, content in read_bundle().files.items() if name.endswith(".js"))
    for of_another in (b"react.transitional.element", b"react.fragment", b"createBrowserRouter", b"chakra-button"):
        assert of_another not in code


def test_its_lock_names_no_host():
    packages = json.loads((ROOT / "ui" / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages
    assert not [name for name, package in packages.items() if "resolved" in package]
    assert not [name for name, package in packages.items() if name and "integrity" not in package]


def test_a_wheel_is_built_from_a_source_archive_without_node(tmp_path):
    build(ROOT, "sdist", tmp_path)
    (archive,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(tmp_path, filter="data")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    build(folder, "wheel", tmp_path)
    (wheel,) = tmp_path.glob("*.whl")
    assert not (folder / "ui" / "node_modules").exists()
    with zipfile.ZipFile(wheel) as packed_wheel:
        names = set(packed_wheel.namelist())
    assert {f"airflow_edge/page/bundle/{name}" for name in [*read_bundle().files, "built.json"]} <= names
    assert not [name for name in names if re.match(r"ui/|hatch_build", name)]


def build(folder: Path, target: str, into: Path) -> None:
    words = [sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(into)]
    env = {name: value for name, value in os.environ.items() if name != "PATH"} | {"PATH": str(into / "nothing")}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
