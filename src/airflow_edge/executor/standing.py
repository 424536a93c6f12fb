"""Whether the database lets an executor work, and the mark by which others see that a scheduler has it."""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Final
from uuid import uuid4

from sqlalchemy.exc import SQLAlchemyError

from airflow_edge import __version__
from airflow_edge.rules.processes import MARK_INTERVAL, CentreProcess
from airflow_edge.store.processes import Processes
from airflow_edge.store.schema import in_words, trouble_of
from airflow_edge.store.transactions import Transactions

log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 5.0
"""Seconds between two looks at a database that cannot be worked on."""
REPEATED: Final = 300.0
"""Seconds after which the same trouble is logged again."""


class Standing:
    """One executor's standing with the database."""

    def __init__(self, transactions: Transactions, now: Callable[[], datetime]) -> None:
        self._transactions = transactions
        self._now = now
        self._processes = Processes(transactions)
        self._mark: CentreProcess | None = None
        self._next_mark = 0.0
        self._next_look = 0.0
        self._said = ("", float("-inf"))
        self.usable = False
        """Our tables were there when it last looked, and nothing has failed since."""

    def look(self) -> bool:
        """Say whether our tables can be worked on; looks at them now and then while they cannot."""
        if not self.usable and time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + LOOK_INTERVAL
            found = self._transactions.read(trouble_of)
            if found is None:
                self._recovered()
            else:
                self._say(found)
        return self.usable

    def failed(self, error: SQLAlchemyError) -> None:
        """Take note that a database has failed; it is looked at again before anything else is wanted of it."""
        self.usable = False
        self._say(in_words(error))
        log.debug("The database failed", exc_info=error)

    def mark(self, executors: str) -> None:
        """Note that this scheduler runs with our executor, from time to time.

        :param executors: what `[core] executor` is to it
        """
        if time.monotonic() < self._next_mark:
            return
        now = self._now()
        first = self._mark or CentreProcess(
            id=uuid4(),
            kind="scheduler",
            host=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            executors=executors,
            started_at=now,
            seen_at=now,
        )
        self._mark = replace(first, seen_at=now)
        self._processes.mark(self._mark)
        self._next_mark = time.monotonic() + MARK_INTERVAL

    def end(self) -> None:
        """Note that it runs no more; where that cannot be noted, it is seen after a while."""
        if self._mark is not None:
            try:
                self._processes.ended(self._mark.id, now=self._now())
            except SQLAlchemyError as error:
                self.failed(error)

    def _recovered(self) -> None:
        self.usable = True
        if self._said[0]:
            log.warning("The edge executor works again: its tables can be used")
        self._said = ("", float("-inf"))

    def _say(self, found: str) -> None:
        said, at = self._said
        if found != said or time.monotonic() - at > REPEATED:
            self._said = found, time.monotonic()
            log.error("The edge executor waits, and its tasks stay scheduled: %s", found)
