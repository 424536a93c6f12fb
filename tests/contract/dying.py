"""Tidies the logs of a SQLite database and dies, as if killed, before or after its nth transaction that writes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import create_engine
from sqlalchemy.orm import Session, sessionmaker

from airflow_edge.store.logs.upkeep import LogUpkeep
from airflow_edge.store.transactions import Transactions

T = TypeVar("T")
KILLED = 9


class Mortal(Transactions):
    """Transactions of a process with so many writes to live."""

    def __init__(self, sessions: sessionmaker[Session], lives: int) -> None:
        super().__init__(sessions)
        self._lives = lives

    def write(self, work: Callable[[Session], T]) -> T:
        if self._lives == 0:
            os._exit(KILLED)
        self._lives -= 1
        return super().write(work)


if __name__ == "__main__":
    database, log_store, lives, now = sys.argv[1:]
    upkeep = LogUpkeep(Mortal(sessionmaker(create_engine(database)), int(lives)))
    while upkeep.tidy(log_store or None, clock=lambda: datetime.fromisoformat(now)):
        pass
