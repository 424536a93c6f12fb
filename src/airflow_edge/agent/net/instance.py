"""Which instance of the worker this is: one life on one machine. It goes on over restarts, reboots and upgrades; a copy
of the state folder somewhere else begins one of its own, and the jobs in that copy are not its own.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated
from uuid import uuid4

import msgspec

from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.machine.place import Place
from airflow_edge.agent.net.identity import write_private
from airflow_edge.site.files import DamagedError, make_way, read

log = logging.getLogger(__name__)
_encode = msgspec.json.Encoder().encode


class _Stored(msgspec.Struct, frozen=True, kw_only=True):
    id: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f-]{36}$")]
    place: Place
    last_link: str = ""
    lets_go: bool = False
    """The journal has jobs of another instance, which are to be let go of."""


class Instance:
    """The instance that a state folder belongs to."""

    def __init__(self, file: Path, here: Place) -> None:
        """Find out which it is, or begin one.

        :param file: where it is kept; a spare one beside it is read where that is damaged
        :param here: where its state folder is now
        """
        self._file = file
        self._here = here
        self._spare = file.with_suffix(f".spare{file.suffix}")
        found = _load(file)
        stored = found or _load(self._spare)
        is_elsewhere = stored is not None and not stored.place.may_be(here)
        self.is_copy = stored is not None and (is_elsewhere or stored.lets_go)
        """This state folder is a copy of another machine's: the jobs in its journal are that one's."""
        self.id = str(uuid4()) if stored is None or is_elsewhere else stored.id
        self.last_link = stored.last_link if stored is not None and not is_elsewhere else ""
        """What the centre called the link that it had last: a copy of the state folder knows an older one."""
        if is_elsewhere:
            log.warning(
                "this state folder was copied from another machine: this is another instance of the worker, and leaves "
                "the jobs in it to that machine; enrol each machine by itself"
            )
        if found is None or found.place != here or is_elsewhere:
            self._write(lets_go=self.is_copy)

    def settle(self) -> None:
        """Note that the other machine's jobs are let go of."""
        self._write()

    def linked(self, link: str) -> None:
        """Note what the centre calls the new link."""
        self.last_link = link
        self._write()

    def renew(self) -> None:
        """Begin another one, with the next agent: whose this was, is another machine that lives.

        :raises AgentError: that cannot be noted.
        :raises OSError: likewise.
        """
        self._store(_Stored(id=str(uuid4()), place=self._here, lets_go=True))

    def _write(self, *, lets_go: bool = False) -> None:
        stored = _Stored(id=self.id, place=self._here, last_link=self.last_link, lets_go=lets_go)
        try:
            self._store(stored)
        except (OSError, AgentError) as error:
            # A disk that is full passes; the next start tries it again.
            log.warning("which instance of the worker this is cannot be written to %s: %s", self._file, error)

    def _store(self, stored: _Stored) -> None:
        # One after the other: whatever happens, one of them is whole.
        for file in (self._file, self._spare):
            make_way(file)
            write_private(file, _encode(stored))


def _load(file: Path) -> _Stored | None:
    try:
        return read(file, _Stored)
    except (OSError, DamagedError) as error:
        log.warning(
            "%s cannot be read (%s); if both copies of it cannot, this is another instance of the worker", file, error
        )
        return None
