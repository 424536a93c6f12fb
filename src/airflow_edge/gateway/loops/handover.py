"""Finished logs for the remote log of Airflow's (S3, GCS, …) that is configured at the centre, like other tasks' logs.

Every gateway process does it, one log at a time, in a thread of its own; no two are at the same log.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import attrs

from airflow_edge.gateway.database.calls import StoreCalls, StoreUnavailableError
from airflow_edge.rules.file_names import fitting
from airflow_edge.rules.logs.lines import lines
from airflow_edge.store.store import Store

log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 5.0
LEASE: Final = timedelta(hours=1)
"""For how long a log is left to the process that has begun with it."""
RETRY: Final = timedelta(minutes=5)


class HandoverError(Exception):
    """The remote log did not take it; Airflow's log says why."""


class RemoteLog:
    """A stock `RemoteLogIO` that takes the file of a finished log, with a folder of its own to take it from."""

    def __init__(self, handler: Any) -> None:
        """Set it up with a handler that `takes_files`."""
        self._folder = TemporaryDirectory(prefix="airflow-edge-")
        self._base = Path(self._folder.name)
        self._handler = attrs.evolve(handler, base_log_folder=self._base, delete_local_copy=True)

    def take(self, path: str, pieces: Iterable[bytes], *, again: bool) -> None:
        """Have a log uploaded below what is there with this path, as far as a file may be called so.

        :param again: it may have been uploaded before, by somebody who could not say so any more
        :raises HandoverError: it was not uploaded.
        """
        path = fitting(path)
        file = self._base / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            # Handlers read it as UTF-8.
            with file.open("w", encoding="utf-8", newline="") as text:
                text.writelines(f"{line}\n" for line in lines(pieces, complete=True))
            if again and self._has(path, file):
                return
            self._handler.upload(path, None)
            if file.exists():
                raise HandoverError(path)
        finally:
            for left in self._base.iterdir():
                shutil.rmtree(left, ignore_errors=True)

    def _has(self, path: str, file: Path) -> bool:
        _, logs = self._handler.read(path, None)
        mine = file.read_text(encoding="utf-8").rstrip()
        return any(mine in there for there in logs or ())


def takes_files(handler: Any) -> bool:
    """Say whether it uploads finished files, and tells of its success by deleting them.

    Those that send each line while it is written (CloudWatch, Stackdriver) do not.
    """
    if not attrs.has(type(handler)) or tuple(handler.processors):
        return False
    return {"base_log_folder", "delete_local_copy"} <= {field.name for field in attrs.fields(type(handler))}


def configured_handler() -> Any:
    """Give the remote log that Airflow has beside ours, or in its place; None if there is none."""
    from airflow.logging_config import get_remote_task_log

    remote: Any = get_remote_task_log()
    return remote.inner if getattr(remote, "serves_edge_logs", False) else remote


@attrs.frozen
class Handover:
    """The handing over of finished logs in one gateway process."""

    _store: Store
    _calls: StoreCalls = attrs.field(factory=lambda: StoreCalls(threads=1))

    async def run(self) -> None:
        """Hand over whatever is due, until cancelled; nothing where no remote log is configured."""
        handler = await self._calls.run(configured_handler)
        if handler is not None and not takes_files(handler):
            log.warning("Logs of tasks at the edge stay here: %s takes no finished logs", type(handler).__name__)
        if handler is None or not takes_files(handler):
            await asyncio.Event().wait()
        remote = RemoteLog(handler)
        while True:
            # It was logged; what was not done is done the next time.
            with suppress(StoreUnavailableError):
                while await self._calls.run(self.hand_over_one, remote):
                    pass
            await asyncio.sleep(LOOK_INTERVAL)

    async def stop(self) -> None:
        """Let what has begun end."""
        await asyncio.to_thread(self._calls.close)

    def hand_over_one(self, remote: RemoteLog) -> bool:
        """Hand over the next log; say whether there was one."""
        now = datetime.now(UTC)
        due = self._store.log_handovers.claim(now=now, until=now + LEASE)
        if due is None:
            return False
        try:
            remote.take(due.path, self._store.logs.read(due.id), again=due.again)
        # Whatever somebody else's handler raises: the log is here, and is offered again.
        except Exception:
            log.warning("The remote log did not take '%s'; it is asked again later", due.path, exc_info=True)
            self._store.log_handovers.put_off(due.id, until=datetime.now(UTC) + RETRY)
        else:
            self._store.log_handovers.done(due.id, now=datetime.now(UTC))
        return True
