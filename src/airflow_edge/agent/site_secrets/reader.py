"""The process that reads what only Airflow can read: a connection's text, and secrets backends.

It is the worker's user's, never the tasks', is started when it is needed, and ends when nothing was asked for a while:
Airflow takes 100 MB. The agent itself never loads it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

import msgspec

from airflow_edge.agent.site_secrets.files import SourceAwayError, UnusableSecretError
from airflow_edge.protocol.local import SecretAnswer, SecretAsked
from airflow_edge.site.kernel import User
from airflow_edge.site.processes import no_process

PATIENCE: Final = 30.0
"""Seconds for an answer."""
START_PATIENCE: Final = 120.0
"""Seconds for the first, until which Airflow has to be loaded, on a machine that may be slow."""
IDLE: Final = 60.0
"""Seconds without a question after which it ends."""
LONGEST_ANSWER: Final = 8 * 1024 * 1024
"""Bytes: a secret is at most one mebibyte, and JSON may take six for one."""
CLOSE_PATIENCE: Final = 1.0
COMMAND: Final = (sys.executable, "-P", "-m", "airflow_edge.runtime.site_secrets")


class SecretsReader:
    """Asks that process, one thing at a time."""

    def __init__(
        self,
        *,
        patience: float = PATIENCE,
        start_patience: float = START_PATIENCE,
        idle: float = IDLE,
        user: User | None = None,
    ) -> None:
        """:param user: whose process it is, where root asks; None for this one's
        :param patience: seconds for an answer
        :param start_patience: seconds for the first answer of a process
        :param idle: seconds without a question after which the process ends
        """
        self._patience = patience
        self._start_patience = start_patience
        self._idle = idle
        self._user = user
        self._process: asyncio.subprocess.Process | None = None
        self._ending: set[asyncio.Future[None]] = set()
        self._turn = asyncio.Lock()
        self._rest: asyncio.TimerHandle | None = None
        self._failed: tuple[float, str] = (0.0, "")
        """When it was last in vain, and why."""

    @property
    def pid(self) -> int | None:
        """The process, if there is one now."""
        return self._process.pid if self._process is not None else None

    async def ask(self, asked: SecretAsked) -> str | None:
        """Give what the Execution API is to answer, in JSON; None where the backend has nothing of that name.

        :raises SourceAwayError: the backend, or the process, does not do what it should.
        :raises UnusableSecretError: Airflow cannot read the text.
        """
        came = asyncio.get_running_loop().time()
        async with self._turn:
            at, why = self._failed
            if asked.backend and at >= came:
                # Who has waited behind a question that was in vain does not wait as long once more.
                raise SourceAwayError(why)
            answer = await self._answer(asked)
            if answer.failure and not asked.backend:
                raise UnusableSecretError(f"Airflow cannot read it as a connection ({answer.failure})")
            if answer.failure:
                raise self._in_vain(f"{asked.backend} fails: {answer.failure}")
            return answer.body

    def end(self) -> None:
        """End the process."""
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                # With what a backend may have started.
                os.killpg(process.pid, signal.SIGKILL)
            ending = asyncio.ensure_future(_until_gone(process))
            self._ending.add(ending)
            ending.add_done_callback(self._ending.discard)

    async def aclose(self) -> None:
        """End the process, as the agent ends."""
        self.end()
        if self._ending:
            await asyncio.wait(self._ending, timeout=CLOSE_PATIENCE)

    async def _answer(self, asked: SecretAsked) -> SecretAnswer:
        if self._rest is not None:
            self._rest.cancel()
            self._rest = None
        whole = False
        try:
            async with asyncio.timeout(self._patience if self._process is not None else self._start_patience):
                process = self._process or await self._start()
                assert process.stdin is not None  # noqa: S101 - for the type checker
                assert process.stdout is not None  # noqa: S101 - the same
                process.stdin.write(msgspec.json.encode(asked) + b"\n")
                await process.stdin.drain()
                line = await process.stdout.readline()
            if not line:
                raise self._in_vain(f"the reader of secrets ended with status {await process.wait()}")
            answer = msgspec.json.decode(line, type=SecretAnswer)
            whole = True
        except TimeoutError:
            raise self._in_vain(f"{asked.backend or 'the reader of secrets'} gave no answer in time") from None
        except (OSError, MemoryError) as error:
            raise self._in_vain(no_process(error)) from None
        except (ValueError, msgspec.MsgspecError):
            # What it was is nobody's business.
            raise self._in_vain("the reader of secrets gave an answer that is none") from None
        finally:
            if whole:
                self._rest = asyncio.get_running_loop().call_later(self._idle, self.end)
            else:
                # What it may still say would be taken for an answer to the next question.
                self.end()
        return answer

    async def _start(self) -> asyncio.subprocess.Process:
        user = self._user
        self._process = await asyncio.create_subprocess_exec(
            *COMMAND,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            # A backend's own words may hold what it has read.
            stderr=asyncio.subprocess.DEVNULL,
            limit=LONGEST_ANSWER,
            # Signals for the agent, from a terminal for example, are not for it.
            start_new_session=True,
            user=user and user.uid,
            group=user and user.gid,
            extra_groups=user and user.groups,
        )
        return self._process

    def _in_vain(self, why: str) -> SourceAwayError:
        self._failed = (asyncio.get_running_loop().time(), why)
        return SourceAwayError(why)


async def _until_gone(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(OSError, ValueError, RuntimeError):
        # What it has still said is read, so that its pipes are closed.
        await process.communicate()
