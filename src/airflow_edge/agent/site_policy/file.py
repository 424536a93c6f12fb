"""The file of the site policy (`[edge] site_policy`), read again when it has changed; it is never taken for empty.

One that cannot be read or makes no sense any more leaves the last good policy in force, and the worker says so. Until
there was a good one, no job is taken.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import threading
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NamedTuple

from airflow_edge.agent.errors import describe
from airflow_edge.agent.site_policy.policy import SiteDenial, SitePolicy, SitePolicyError, asked_by
from airflow_edge.protocol.local import SiteTerms, by_owner
from airflow_edge.protocol.messages import Closed, Offer
from airflow_edge.site.guarding import OTHERS_WRITE, open_folder

log = logging.getLogger(__name__)

INTERVAL: Final = 2.0
"""Seconds between two looks, beside those before each offer."""
SETTLED: Final = 1.0
"""Seconds for which a file has to stay as it is before it takes the place of a policy: half of it may be one, too."""
MOST_BYTES: Final = 1024 * 1024
LONGEST_REASON: Final = 500
"""Characters."""


class _Stamp(NamedTuple):
    """Tells one content of the file from another, without reading it."""

    mtime_ns: int
    size: int
    inode: int
    device: int
    mode: int
    owner: int


def _now() -> datetime:
    return datetime.now(UTC)


def _open(path: str, flags: int) -> int:
    # Opening a pipe would wait for somebody to write to it.
    return os.open(path, flags | os.O_NONBLOCK)


class SitePolicyFile:
    """The policy in force. It may be asked from any thread."""

    def __init__(
        self,
        path: Path | None,
        changed: Callable[[], None] = lambda: None,
        *,
        now: Callable[[], datetime] = _now,
        settled: float = SETTLED,
    ) -> None:
        """Read it, if there is one.

        :param changed: is told, in the thread of `run`, that there is something else to say
        """
        self.path = path
        self._changed = changed
        self._now = now
        self._settled = settled
        self._lock = threading.Lock()
        self._policy: SitePolicy | None = None
        """The last good one."""
        self._version: _Stamp | None = None
        """Of what was read last."""
        self._newer: tuple[_Stamp, float] | None = None
        """Of what has come in its place, and since when, on the monotonic clock."""
        self._trouble = ""
        """What is wrong with the file now."""
        self.look()

    async def run(self) -> None:
        """Look again and again until cancelled, if there is anything to look at."""
        while self.path is not None:
            before = self.condition, self.warning, self._policy
            await asyncio.get_running_loop().run_in_executor(None, self.look)
            if before != (self.condition, self.warning, self._policy):
                self._changed()
            await asyncio.sleep(INTERVAL)

    def look(self) -> None:
        """Read the file if it is another one than before; it blocks for as long as its disk does."""
        if self.path is None:
            return
        # An agent without a site policy is small: TOML and time zones would be a megabyte.
        from airflow_edge.agent.site_policy.document import parse

        with self._lock:
            try:
                if why := open_folder(self.path, {os.geteuid()}):
                    # Whatever lies there once that is mended is looked at anew.
                    self._version = None
                    raise SitePolicyError(why)
                content = self._read(self.path)
                if content is not None:
                    self._policy, self._trouble = parse(content), ""
                    log.info("the site policy %s allows: %s", self.path, self._policy.summary())
            except SitePolicyError as error:
                self._note(str(error))
            except OSError as error:
                self._version = None
                self._note(f"it cannot be read: {describe(error)}")

    def _read(self, path: Path) -> bytes | None:
        """Give what is in the file; None if that was read already."""
        with open(path, "rb", opener=_open) as file:
            found = os.fstat(file.fileno())
            version = _Stamp(found.st_mtime_ns, found.st_size, found.st_ino, found.st_dev, found.st_mode, found.st_uid)
            if version == self._version or not self._is_settled(version):
                return None
            self._version = version
            if not stat.S_ISREG(found.st_mode):
                raise SitePolicyError("it is no file")
            if found.st_uid not in {0, os.geteuid()}:
                raise SitePolicyError(f"it is another user's (uid {found.st_uid}); give it to root: chown root {path}")
            if found.st_mode & OTHERS_WRITE:
                raise SitePolicyError(f"others may write to it; take that from them: chmod go-w {path}")
            content = file.read(MOST_BYTES + 1)
        if len(content) > MOST_BYTES:
            raise SitePolicyError(f"it is longer than {MOST_BYTES // 2**20} MiB")
        return content

    def _is_settled(self, version: _Stamp) -> bool:
        if self._policy is None:
            return True
        if self._newer is None or self._newer[0] != version:
            self._newer = version, time.monotonic()
        return time.monotonic() - self._newer[1] >= self._settled

    def _note(self, trouble: str) -> None:
        if trouble != self._trouble:
            log.error("the site policy %s: %s", self.path, trouble)
        self._trouble = trouble

    # What it means

    @property
    def condition(self) -> str:
        """Why no job is taken at all; empty if some are."""
        if self.path is None or self._policy is not None:
            return ""
        return f"the site policy {self.path} ([edge] site_policy) does not say what is allowed here: {self._trouble}"

    @property
    def warning(self) -> str:
        """Why a policy is in force that is not the one of the file; empty if it is."""
        if self._policy is None or not self._trouble:
            return ""
        return f"the site policy {self.path} is not what it was, and its last good version counts: {self._trouble}"

    @property
    def trouble(self) -> str:
        """What is wrong with the file now, whatever is in force; empty for nothing."""
        return self._trouble

    @property
    def summary(self) -> str:
        """Say where it is and what it allows; empty where there is none."""
        return "" if self.path is None or self._policy is None else f"{self.path}: {self._policy.summary()}"

    @property
    def terms(self) -> SiteTerms | None:
        """Say what goes with a job that is taken now; None for nothing."""
        policy = self._policy
        if policy is None or (policy.users is None and policy.max_log is None):
            return None
        return SiteTerms(policy=str(self.path), users=policy.users, max_log=policy.max_log)

    def judge(self, offer: Offer) -> SiteDenial | None:
        """Say why a job is not taken; None if nothing of this speaks against it."""
        if self.path is None:
            return None
        if self._policy is None:
            return SiteDenial(self.condition[:LONGEST_REASON], for_good=False)
        denial = self._policy.judge(asked_by(offer), now=self._now())
        return denial and SiteDenial(self._by_owner(denial.reason), for_good=denial.for_good)

    def closed(self, queues: Iterable[str]) -> tuple[Closed, ...]:
        """Say of which of these queues no job is taken now; of none where that is to be said of the whole worker."""
        if self._policy is None:
            return ()
        return tuple(
            Closed(queues=one.queues, reason=self._by_owner(one.reason), for_good=one.for_good)
            for one in self._policy.closed(queues, now=self._now())
        )

    def _by_owner(self, reason: str) -> str:
        return by_owner(str(self.path), reason)
