"""The site's own secrets: whether it has one of a name, who may have it, and what it is.

What the site keeps is the site's: the centre is never asked for it instead, not even where the site cannot say now
whether it has it.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.site_secrets.files import SecretFiles, SourceAwayError, UnusableSecretError
from airflow_edge.agent.site_secrets.reader import SecretsReader
from airflow_edge.agent.site_secrets.rules import (
    CREDENTIALS_VARIABLE,
    SecretsRules,
    Source,
    is_plain,
    load_rules,
    matches,
)
from airflow_edge.protocol.local import SecretAsked, SecretKind

log = logging.getLogger(__name__)

T = TypeVar("T")

TOLD: Final = "the worker's own log says why"
LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks whether the rules can be read, and whether what has failed works again."""
PATIENCE: Final = 5.0
"""Seconds after which a folder that does not answer is on a disk that is gone."""
MOST_NAMED: Final = 10
"""Patterns of Dags that the site's log names."""


@dataclass(frozen=True, slots=True)
class Given:
    """The task gets it."""

    body: bytes = field(repr=False)
    """The Execution API's answer, in JSON."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """The site has it, or may have it, and the task does not get it."""

    sentence: str
    """For the task, whose log goes to the centre: nothing of the site's files, rules and other Dags is in it."""
    passing: bool = False
    """Whether it is worth another attempt."""
    why: str = ""
    """What more the site's own log says; it stays there."""


Decision: TypeAlias = Given | Withheld | None
"""None for what is not the site's: the centre is asked."""


class SiteSecrets:
    """What `[edge] site_secrets` stands for."""

    def __init__(
        self, file: Path | None, reader: SecretsReader | None = None, environ: Mapping[str, str] = os.environ
    ) -> None:
        """:param file: the rules, which are read anew for each question; None where the site keeps none"""
        self._file = file
        self._reader = reader or SecretsReader()
        self._environ = environ
        self._rules: SecretsRules | None = None
        """As they were when they could last be read."""
        self._broken = ""
        self._away = ""
        self._failed: tuple[SecretKind, str] | None = None
        """What was asked for when the source was found to be away."""
        self._thread = asyncio.Lock()
        """Files are read one after the other: others need threads, too."""
        self._stuck: asyncio.Future[object] | None = None

    @property
    def any(self) -> bool:
        """Whether the site is to keep any."""
        return self._file is not None

    @property
    def condition(self) -> str:
        """Why tasks do not get what the site keeps for them, for a person; empty if they do."""
        if self._broken:
            return f"[edge] site_secrets: {self._broken}"
        return f"the site's secrets cannot be had ([edge] site_secrets): {self._away}" if self._away else ""

    async def ask(self, kind: SecretKind, name: str, dag_id: str, *, write: bool = False) -> Decision:
        """Say what a task of this Dag gets, where the site has it.

        :param dag_id: empty if it is not known
        :param write: whether it is to be changed, which no task may
        """
        if self._file is None or not is_plain(kind, name):
            return None
        what = f"{kind} '{name}'"
        rules = await self._read_rules()
        if rules is None:
            return Withheld(
                f"whether this site has the {what} cannot be known now; {TOLD}", passing=True, why=self._broken
            )
        if rules.source.backend and rules.dags(kind, name) is None:
            # It is not asked for each name of the centre's.
            return None
        try:
            found = await self._find(rules.source, kind, name)
            if found is None:
                return None
            if (refusal := self._refusal(rules, kind, name, dag_id, write=write)) is not None:
                return refusal
            return Given((await self._body(rules.source, kind, name, found)).encode())
        except SourceAwayError as error:
            self._away, self._failed = str(error), (kind, name)
            return Withheld(
                f"whether this site has the {what} cannot be known now; {TOLD}", passing=True, why=str(error)
            )
        except UnusableSecretError as error:
            return self._refusal(rules, kind, name, dag_id, write=write) or Withheld(
                f"this site has the {what}, but it cannot be used as it is; {TOLD}", why=str(error)
            )

    async def run(self) -> None:
        """Look again and again whether what has failed works; what was started for it ends with this."""
        try:
            while self._file is not None:
                await self._look()
                await asyncio.sleep(LOOK_INTERVAL)
        finally:
            await self._reader.aclose()

    async def _look(self) -> None:
        if (rules := await self._read_rules()) is None or (rules.source.backend and self._failed is None):
            return
        # Whatever the name is, it shows whether the folder is there.
        kind, name = self._failed or ("connection", "-")
        try:
            found = await self._find(rules.source, kind, name)
            if self._failed is not None and found is not None:
                await self._body(rules.source, kind, name, found)
        except SourceAwayError as error:
            self._away = str(error)
            return
        except UnusableSecretError:
            """Its own fault: the source is there."""
        self._away, self._failed = "", None

    def _refusal(
        self, rules: SecretsRules, kind: SecretKind, name: str, dag_id: str, *, write: bool
    ) -> Withheld | None:
        has = f"this site has the {kind} '{name}'"
        if self._broken:
            return Withheld(f"{has}, and who may have it cannot be known now; {TOLD}", passing=True, why=self._broken)
        if write:
            return Withheld(f"{has} of its own, and no task may change it: its owner does, at the site")
        dags = rules.dags(kind, name)
        whose = f"the Dag {dag_id}" if dag_id else "what is of no Dag"
        if dags is None:
            return Withheld(f"{has}, but its rules do not let {whose} have it", why=f"no rule in {self._file} names it")
        if not matches(dags, dag_id):
            named = ", ".join(dags[:MOST_NAMED]) or "none"
            why = f"{self._file} lets only these Dags have it: {named}"
            return Withheld(f"{has}, but its rules do not let {whose} have it", why=why)
        return None

    async def _read_rules(self) -> SecretsRules | None:
        """Give the rules; those that could last be read where they cannot be now."""
        if (file := self._file) is None:
            return None
        try:
            self._rules = await self._in_time(lambda: load_rules(file, os.geteuid()), file)
            self._broken = ""
        except (ConfigError, SourceAwayError) as error:
            if self._broken != str(error):
                log.error("no secret of this site is given to any task: %s", error)
            self._broken = str(error)
        return self._rules

    async def _find(self, source: Source, kind: SecretKind, name: str) -> str | None:
        """Give a file's text, or the answer that a backend has for the task."""
        if source.backend:
            asked = SecretAsked(kind=kind, name=name, backend=source.backend, backend_kwargs=source.backend_kwargs)
            return await self._reader.ask(asked)
        files = files_of(source, os.geteuid(), self._environ)
        return await self._in_time(lambda: files.read(kind, name), source.label)

    async def _body(self, source: Source, kind: SecretKind, name: str, found: str) -> str:
        if source.backend:
            return found
        if kind == "variable":
            return msgspec.json.encode({"key": name, "value": found}).decode()
        body = await self._reader.ask(SecretAsked(kind=kind, name=name, text=found))
        if body is None:
            raise UnusableSecretError("its file is empty")
        return body

    async def _in_time(self, call: Callable[[], T], where: object) -> T:
        """Call it in a thread; one that does not come back keeps no second one."""
        async with self._thread:
            if self._stuck is not None and not self._stuck.done():
                raise SourceAwayError(f"the disk of {where} does not answer")
            future = asyncio.get_running_loop().run_in_executor(None, call)
            done, _ = await asyncio.wait({future}, timeout=PATIENCE)
            if not done:
                self._stuck = asyncio.ensure_future(_end_of(future))
                raise SourceAwayError(f"the disk of {where} does not answer")
            return future.result()


def files_of(source: Source, uid: int, environ: Mapping[str, str]) -> SecretFiles:
    """Give the files of a source that is no backend.

    :raises SourceAwayError: systemd has given no credentials.
    """
    if source.folder is not None:
        return SecretFiles(Path(source.folder), uid)
    if not (folder := environ.get(CREDENTIALS_VARIABLE, "")):
        raise SourceAwayError(
            f"there is no ${CREDENTIALS_VARIABLE}: the worker's unit has no LoadCredential=, or is none of systemd's"
        )
    return SecretFiles(Path(folder), uid, credentials=True)


async def _end_of(future: asyncio.Future[Any]) -> object:
    await asyncio.wait({future})
    return future.exception()
