"""Whether there are Dags at this site: a worker without any would take tasks, and none of them could run.

Only folders are looked at. What else brings Dags, a Git repository say, is Airflow's affair: the runtime tells of it.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec

from airflow_edge.agent.config import Config, absolute
from airflow_edge.agent.machine.imports import Imports

INTERVAL = 5.0
"""Seconds between two looks."""
PATIENCE = 5.0
"""Seconds after which a folder that does not answer is on a disk that is gone."""
MOST_ENTRIES = 10_000
"""Files that are looked at: among more there are Dags, for all we know."""
MOST_MISSING = 5
"""Modules of a folder that are named."""
_SUFFIXES: Final = (".py", ".zip")
_LOCAL: Final = "LocalDagBundle"


@dataclass(frozen=True, slots=True)
class DagSource:
    """Where Dags come from: a bundle, as Airflow calls it."""

    name: str
    folder: Path | None
    """None if it is no folder of this machine's."""


@dataclass(frozen=True, slots=True)
class DagsFound:
    """What a look has brought. `obstacle` keeps every task from running, `warnings` may keep some; empty if none do."""

    obstacle: str = ""
    warnings: tuple[str, ...] = ()


def sources(config: Config) -> tuple[DagSource, ...]:
    """Give the bundles that are configured here; none if nobody has said anything of Dags, or what is said is wrong."""
    if config.dags_folder is None:
        return ()
    if not config.dag_bundles:
        return (DagSource("dags-folder", config.dags_folder),)
    try:
        # What is wrong with it the runtime says, in Airflow's words.
        return tuple(_sources(msgspec.json.decode(config.dag_bundles), config.dags_folder))
    except (ValueError, TypeError, KeyError, AttributeError):
        return ()


def _sources(bundles: list[dict[str, object]], dags_folder: Path) -> Iterator[DagSource]:
    for bundle in bundles:
        kwargs = bundle.get("kwargs") or {}
        local = str(bundle["classpath"]).endswith(_LOCAL)
        path = kwargs.get("path") if isinstance(kwargs, dict) else None
        folder = absolute(str(path)) if path else dags_folder
        yield DagSource(str(bundle["name"]), folder if local else None)


def look(found: Sequence[DagSource], imports: Imports) -> DagsFound:
    """Look at all folders; it blocks for as long as their disks do."""
    problems = {source.name: problem for source in found if source.folder and (problem := _problem(source.folder))}
    if found and len(problems) == len(found):
        said = "; ".join(dict.fromkeys(problems.values()))
        return DagsFound(
            obstacle=f"no task can run here: {said}; put the Dags there, or name another folder ([core] dags_folder, "
            "[dag_processor] dag_bundle_config_list) and restart the worker"
        )
    warnings = [f"tasks of the bundle '{name}' cannot run here: {said}" for name, said in problems.items()]
    for folder in dict.fromkeys(source.folder for source in found if source.folder and source.name not in problems):
        with suppress(OSError):
            warnings += islice(imports.missing(folder, files(folder)), MOST_MISSING)
    return DagsFound(warnings=tuple(warnings))


def files(folder: Path) -> list[Path]:
    """Give the files that may hold Dags, as far as `MOST_ENTRIES` goes.

    :raises OSError: the folder cannot be read.
    """
    return [Path(file) for file in _candidates(folder) if file]


def _problem(folder: Path) -> str:
    try:
        has_dags = next(_candidates(folder), None) is not None
    except FileNotFoundError:
        return f"the Dags folder {folder} is not there"
    except OSError as error:
        return f"the Dags folder {folder} cannot be read ({error.strerror})"
    return "" if has_dags else f"the Dags folder {folder} has no Dag in it (no .py or .zip)"


def _candidates(root: Path) -> Iterator[str]:
    with os.scandir(root):
        """What cannot be read below it, may still have Dags beside it; it itself has to be read."""
    seen = 0
    for folder, _, files in os.walk(root, followlinks=True):
        seen += 1 + len(files)
        for file in files:
            if file.endswith(_SUFFIXES):
                yield os.path.join(folder, file)  # noqa: PTH118 - as os.walk has it
        if seen > MOST_ENTRIES:
            # There may be some, for all we know.
            yield ""
            return


class DagsWatch:
    """Looks again and again, in a thread of its own: a disk that is gone holds up nobody else."""

    def __init__(self, config: Config, changed: Callable[[], None]) -> None:
        """:param changed: is told that there is something else to say"""
        self.found = DagsFound()
        """What the last look has brought."""
        self._sources = sources(config)
        self._imports = Imports(config.import_folders)
        self._changed = changed

    async def run(self) -> None:
        """Look until cancelled, if there is anything to look at."""
        while self._sources:
            answer = self._begin()
            done, _ = await asyncio.wait({answer}, timeout=PATIENCE)
            if not done:
                folders = ", ".join(str(source.folder) for source in self._sources if source.folder)
                self._note(
                    DagsFound(
                        obstacle=f"the disk of the Dags folder does not answer ({folders}); see whether its network "
                        "file system is there"
                    )
                )
            self._note(await answer)
            await asyncio.sleep(INTERVAL)

    def _begin(self) -> asyncio.Future[DagsFound]:
        answer: Future[DagsFound] = Future()
        # So that it cannot be cancelled: the thread goes on.
        answer.set_running_or_notify_cancel()

        def call() -> None:
            try:
                answer.set_result(look(self._sources, self._imports))
            except BaseException as error:  # noqa: BLE001 - whatever it is, who waits has to hear of it
                answer.set_exception(error)

        # A daemon, so that a look that never ends does not keep the worker from ending.
        threading.Thread(target=call, name="looking for Dags", daemon=True).start()
        return asyncio.wrap_future(answer)

    def _note(self, found: DagsFound) -> None:
        if found != self.found:
            self.found = found
            self._changed()
