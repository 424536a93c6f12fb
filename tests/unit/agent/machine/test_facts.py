from __future__ import annotations

import platform
import sys
from pathlib import Path

import pytest

from airflow_edge.agent.machine import facts
from harness.processes import without_descriptors


def test_the_version_of_airflow_is_known_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert facts.installed_airflow() == ""
    (tmp_path / "apache_airflow_core-3.3.2.dist-info").mkdir()
    assert facts.installed_airflow() == "3.3.2"


def test_a_machine_has_a_system_and_a_boot() -> None:
    assert platform.release() in facts.system()
    assert facts.boot_id() == facts.boot_id() != ""


def test_a_boot_that_cannot_be_read_is_unknown() -> None:
    with without_descriptors():
        assert facts.boot_id() is None
