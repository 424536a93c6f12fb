"""Databases that are migrated once in a run of the tests, whichever of its processes asks first.

To migrate one takes Airflow ten seconds of a processor; to copy it takes less than one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from harness.database import Database, Databases

_FOLDER = "HARNESS_TEMPLATES"
"""Variable with the folder that the processes of a run have in common."""


@contextmanager
def templates_in_common() -> Iterator[None]:
    """Have this process and those it starts share what they migrate, until the end."""
    if _FOLDER in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="templates-") as folder:
        os.environ[_FOLDER] = folder
        try:
            yield
        finally:
            del os.environ[_FOLDER]


def migrated(databases: Databases, name: str, what: object, migrate: Callable[[Database], None]) -> Database:
    """Make a database with all tables in it.

    :param name: what to call it
    :param what: says with which Airflow and settings `migrate` makes the tables: where that is the same, so are they
    """
    if _FOLDER not in os.environ:
        migrate(made := databases.create(name))
        return made
    key = hashlib.sha256(f"{databases.kind} {what}".encode()).hexdigest()
    kept = Path(os.environ[_FOLDER], key)
    with kept.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if kept.exists():
            made = databases.load(name, kept)
        else:
            migrate(made := databases.create(name))
            half = kept.with_suffix(".half")
            databases.dump(made, half)
            half.rename(kept)
    return made
