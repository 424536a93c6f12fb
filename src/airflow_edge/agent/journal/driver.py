"""Carries out what the core decides, in rounds: what the events of one round have written shares one commit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from airflow_edge.agent.core.core import Core
from airflow_edge.agent.core.events import (
    Announce,
    Close,
    Command,
    Event,
    Forget,
    Halt,
    JobRecord,
    NotStored,
    Offered,
    Rename,
    Restart,
    Save,
    Send,
    Stand,
    Standing,
    Start,
    Store,
    Stored,
)
from airflow_edge.agent.journal.job_folders import JobFolders
from airflow_edge.agent.journal.journal import Journal
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile
from airflow_edge.protocol.messages import Offer, Refused

log = logging.getLogger(__name__)

RETRY_INTERVAL = 2.0
"""Seconds between two attempts to write a journal that could not be written."""

Posted: TypeAlias = Event | Offer


@dataclass(frozen=True, slots=True, kw_only=True)
class Hands:
    """What the driver moves: each is called from the event loop, and returns at once."""

    send: Callable[[Send], None]
    start: Callable[[AssignmentKey], None]
    halt: Callable[[AssignmentKey, str], None]
    admit: Callable[[JobFile], None]
    """The job is stored: let its supervisor in, follow its log."""
    close: Callable[[AssignmentKey], None]
    announce: Callable[[], None]
    rename: Callable[[str], None]
    restart: Callable[[], None]


class Driver:
    """The only one who talks to the core."""

    def __init__(
        self, core: Core, journal: Journal, folders: JobFolders, hands: Hands, *, worker_name: str, api_socket: str
    ) -> None:
        """:param worker_name: what tasks report as their host; :param api_socket: where supervisors find the agent"""
        self.core = core
        self._journal = journal
        self._folders = folders
        self._hands = hands
        self._worker_name = worker_name
        self._api_socket = api_socket
        self.fault = ""
        """Why the journal cannot be written now, for a person."""
        self._owed: dict[AssignmentKey, JobRecord] = {}
        """What the journal does not have yet, because it could not be written."""
        self._owed_standing: Standing | None = None
        self._posted: list[tuple[Posted, Callable[[], None] | None]] = []
        self._wake = asyncio.Event()
        self._moved = asyncio.Condition()

    def post(self, event: Posted, done: Callable[[], None] | None = None) -> None:
        """Let something happen; `done` is called when everything that follows from it is done."""
        self._posted.append((event, done))
        self._wake.set()

    async def wait_until(self, condition: Callable[[Core], bool]) -> None:
        """Wait until the core is like that."""
        async with self._moved:
            await self._moved.wait_for(lambda: condition(self.core))

    async def run(self) -> None:
        """Handle what is posted, round by round."""
        while True:
            if not await self._woken():
                await asyncio.to_thread(self._try_again)
            self._wake.clear()
            posted, self._posted = self._posted, []
            await self._round([event for event, _ in posted])
            for _, done in posted:
                if done is not None:
                    done()
            async with self._moved:
                self._moved.notify_all()

    async def _woken(self) -> bool:
        """Wait for something to handle; False if it is time to try the journal again."""
        try:
            async with asyncio.timeout(RETRY_INTERVAL if self.fault else None):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    async def _round(self, events: Sequence[Posted]) -> None:
        now = asyncio.get_running_loop().time()
        while events:
            commands = [
                command
                for posted in events
                if (event := self._complete(posted)) is not None
                for command in self.core.handle(event, now)
            ]
            events = await self._write_down(commands)
            for command in commands:
                self._obey(command)

    def _complete(self, posted: Posted) -> Event | None:
        """Look up what the journal knows of an offer; refuse it where that cannot be known."""
        if not isinstance(posted, Offer):
            return posted
        key = posted.key
        try:
            return Offered(posted, None if key in self.core.jobs else self._owed.get(key) or self._journal.find(key))
        except sqlite3.Error as error:
            log.error("the journal cannot be read: %s; restart the worker to begin a new one", error)
            reason = f"the site cannot read its journal: {error}"
            self._hands.send(Send(Refused(job_id=key.job_id, assignment=key.assignment, reason=reason)))
            return None

    def _obey(self, command: Command) -> None:
        match command:
            case Send():
                self._hands.send(command)
            case Start(key):
                self._hands.start(key)
            case Halt(key, reason):
                self._hands.halt(key, reason)
            case Close(key):
                self._hands.close(key)
            case Announce():
                self._hands.announce()
            case Rename(name):
                self._worker_name = name
                self._hands.rename(name)
            case Restart():
                self._hands.restart()
            case Store() | Save() | Forget() | Stand():
                pass

    # Writing

    async def _write_down(self, commands: Sequence[Command]) -> list[Event]:
        """Write what is to be written before anything is done; give the events that follow from it."""
        stores = [(command.record, self._job_file(command.offer)) for command in commands if isinstance(command, Store)]
        records = {command.record.key: command.record for command in commands if isinstance(command, Save | Forget)}
        standings = [command.standing for command in commands if isinstance(command, Stand)]
        if not stores and not records and not standings:
            return []
        self._owed_standing = standings[-1] if standings else self._owed_standing
        refused = await asyncio.to_thread(self._write, stores, records)
        events: list[Event] = []
        for record, job in stores:
            if reason := refused.get(record.key):
                events.append(NotStored(record.key, reason))
            else:
                self._hands.admit(job)
                events.append(Stored(record.key))
        return events

    def _write(
        self, stores: Sequence[tuple[JobRecord, JobFile]], records: Mapping[AssignmentKey, JobRecord]
    ) -> dict[AssignmentKey, str]:
        """Give what could not be stored, and why."""
        refused: dict[AssignmentKey, str] = {}
        stored: list[JobRecord] = []
        for record, job in stores:
            try:
                self._folders.write(job)
                stored.append(record)
            except OSError as error:
                refused[record.key] = f"the site cannot write the job's folder: {error}"
        self._owed |= records
        try:
            self._journal.write([*stored, *self._owed.values()], self._owed_standing)
        except sqlite3.Error as error:
            self._note_fault(error)
            for record in stored:
                self._folders.remove(record.key)
                refused[record.key] = f"the site cannot write its journal: {error}"
            with contextlib.suppress(sqlite3.Error):
                # For a new job there is no room; for what happens to those that are here, there is a reserve.
                self._journal.write_with_reserve(self._owed.values(), self._owed_standing)
                self._paid()
        else:
            self._paid()
        return refused

    def _paid(self) -> None:
        for record in self._owed.values():
            if record.finished:
                self._folders.put_away(record.key)
        self._owed = {}
        self._owed_standing = None

    def _try_again(self) -> None:
        try:
            self._journal.write_with_reserve(self._owed.values(), self._owed_standing)
            self._paid()
            self._journal.try_out()
        except (sqlite3.Error, OSError) as error:
            self._note_fault(error)
        else:
            self.fault = ""
            log.info("the journal can be written again")

    def _note_fault(self, error: Exception) -> None:
        fault = (
            f"the journal in the state folder cannot be written ({error}); make room on the disk of the state folder"
        )
        if fault != self.fault:
            log.error("%s", fault)
        self.fault = fault

    def _job_file(self, offer: Offer) -> JobFile:
        key = offer.key
        return JobFile(
            job_id=offer.job_id,
            assignment=offer.assignment,
            kind=offer.kind,
            worker_name=self._worker_name,
            workload=offer.workload.decode(),
            api_socket=self._api_socket,
            secret=secrets.token_urlsafe(32),
            log_path=str(self._folders.log_file(key)),
        )
