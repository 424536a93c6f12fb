"""Whether there are Dags, as folders tell it."""

from __future__ import annotations

import asyncio
import json
import threading
from pathlib import Path

import pytest

from airflow_edge.agent.config import Config
from airflow_edge.agent.machine import dags
from airflow_edge.agent.machine.dags import DagsFound, DagSource, DagsWatch, files, look, sources
from airflow_edge.agent.machine.imports import Imports

LOCAL = "airflow.dag_processing.bundles.local.LocalDagBundle"


def bundles(*given: dict[str, object], folder: Path = Path("/srv/dags")) -> tuple[DagSource, ...]:
    return sources(Config(state_dir=Path("/state"), dags_folder=folder, dag_bundles=json.dumps(given)))


def test_without_bundles_it_is_the_dags_folder() -> None:
    config = Config(state_dir=Path("/state"), dags_folder=Path("/srv/dags"))
    assert sources(config) == (DagSource("dags-folder", Path("/srv/dags")),)
    assert sources(Config(state_dir=Path("/state"))) == ()


def test_a_local_bundle_has_its_own_folder_or_the_usual_one_and_others_have_none() -> None:
    assert bundles(
        {"name": "a", "classpath": LOCAL, "kwargs": {"path": "/srv/a"}},
        {"name": "b", "classpath": LOCAL},
        {"name": "c", "classpath": "airflow.providers.git.bundles.git.GitDagBundle", "kwargs": {"subdir": "dags"}},
    ) == (DagSource("a", Path("/srv/a")), DagSource("b", Path("/srv/dags")), DagSource("c", None))


@pytest.mark.parametrize("text", ["[", "7", '["a"]', '[{"name": "a"}]', "null", '[{"classpath": 1}]'])
def test_what_is_no_list_of_bundles_is_left_to_the_runtime(text: str) -> None:
    config = Config(state_dir=Path("/state"), dags_folder=Path("/srv/dags"), dag_bundles=text)
    assert sources(config) == ()


@pytest.mark.parametrize("name", ["press.py", "deep/er/press.py", "packed.zip"])
def test_one_dag_anywhere_is_enough(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).touch()
    assert look([DagSource("dags-folder", tmp_path)], Imports()) == DagsFound()
    assert files(tmp_path) == [tmp_path / name]


def test_a_folder_that_is_missing_empty_or_none_is_an_obstacle(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    assert "has no Dag in it" in look([DagSource("a", tmp_path)], Imports()).obstacle
    assert "is not there" in look([DagSource("a", tmp_path / "gone")], Imports()).obstacle
    assert "cannot be read (Not a directory)" in look([DagSource("a", tmp_path / "notes.txt")], Imports()).obstacle


def test_it_is_a_warning_where_other_bundles_may_work(tmp_path: Path) -> None:
    found = look([DagSource("a", tmp_path), DagSource("b", None)], Imports())
    assert found.obstacle == ""
    assert found.warnings == (
        f"tasks of the bundle 'a' cannot run here: the Dags folder {tmp_path} has no Dag in it (no .py or .zip)",
    )


def test_links_in_a_circle_come_to_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dags, "MOST_ENTRIES", 50)
    (tmp_path / "self").symlink_to(tmp_path)
    look([DagSource("a", tmp_path)], Imports())


async def test_a_disk_that_does_not_answer_is_told_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, changed = threading.Event(), asyncio.Event()

    def hang(*_: object) -> DagsFound:
        gone.wait(60)
        return DagsFound()

    monkeypatch.setattr(dags, "look", hang)
    monkeypatch.setattr(dags, "PATIENCE", 0.01)
    watch = DagsWatch(Config(state_dir=tmp_path, dags_folder=tmp_path), changed.set)
    running = asyncio.create_task(watch.run())
    try:
        await asyncio.wait_for(changed.wait(), 30)
        assert f"does not answer ({tmp_path})" in watch.found.obstacle
        changed.clear()
        gone.set()
        await asyncio.wait_for(changed.wait(), 30)
        assert watch.found == DagsFound()
    finally:
        running.cancel()
