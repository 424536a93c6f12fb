"""The policy that is in force: the newest in the database, or what a file at the centre says."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path
from typing import Final, Protocol

from airflow_edge.admin.policy_text import read_file, read_kept, read_policy
from airflow_edge.gateway.database.calls import StoreCalls
from airflow_edge.rules.policy.document import PolicyDocument, PolicyError
from airflow_edge.rules.policy.policy import Policy
from airflow_edge.store.policy.versions import PolicyVersions

log = logging.getLogger(__name__)

LOOK_INTERVAL: Final = 2.0
"""Seconds between two looks whether there is another one."""
UNREADABLE: Final = Policy(PolicyDocument(modes={"*": "enforce"}), "which cannot be read")
"""Stands where nobody can say what the policy is: all is denied that would need a grant."""


class PolicySource(Protocol):
    """Where the policy is written."""

    async def look(self) -> Policy | None:
        """Give the policy, if it is another one than at the last look.

        :raises PolicyError: it cannot be read, and why; said at each look until it is another one.
        :raises StoreUnavailableError: the database failed.
        """


class PolicyInForce:
    """The policy as one gateway process knows it."""

    def __init__(self, source: PolicySource) -> None:
        self._source = source
        self._policy: Policy | None = None
        self._trouble = ""

    async def policy(self) -> Policy:
        """Give it; it is looked for only where it never was.

        :raises StoreUnavailableError: it is not known yet.
        """
        if self._policy is None:
            await self.look()
        return self._policy or UNREADABLE

    def is_off(self, queue: str) -> bool:
        """Say whether it is known that tasks of a queue may whatever they like."""
        return self._policy is not None and self._policy.mode(queue) == "off"

    def trouble(self) -> str | None:
        """Say why what is written is not in force; None if it is."""
        return self._trouble or None

    async def look(self) -> None:
        """Take over what has changed; one that cannot be read leaves that in force which was before.

        :raises StoreUnavailableError: the database failed.
        """
        try:
            found = await self._source.look()
        except PolicyError as error:
            instead = "what was in force before stays" if self._policy not in {None, UNREADABLE} else "all is denied"
            trouble = f"The centre's policy cannot be read, so {instead}: {error}."
            if trouble != self._trouble:
                log.error("%s", trouble)
            self._trouble = trouble
            self._policy = self._policy or UNREADABLE
            return
        self._trouble = ""
        if found is not None:
            log.info("The centre's policy is in force: %s", found.label)
            self._policy = found


class DatabasePolicy:
    """The newest version in the database; where there never was one, nobody is asked for anything."""

    def __init__(self, versions: PolicyVersions, calls: StoreCalls) -> None:
        self._versions = versions
        self._calls = calls
        self._known: int | None = None
        self._error: PolicyError | None = None

    async def look(self) -> Policy | None:
        """See `PolicySource`."""
        newest = await self._calls.run(self._versions.newest)
        if newest == self._known:
            if self._error is not None:
                raise self._error
            return None
        policy, self._error = await self._calls.run(self._read)
        self._known = newest
        if policy is None and self._error is not None:
            raise self._error
        return policy

    def _read(self) -> tuple[Policy | None, PolicyError | None]:
        kept = self._versions.get()
        if kept is None:
            return Policy(PolicyDocument(), "none"), None
        try:
            return Policy(read_kept(kept.text), f"version {kept.version}"), None
        except PolicyError as error:
            return None, PolicyError(f"version {kept.version}: {error}")


class FilePolicy:
    """What a file says; it may be written anew at any time.

    One that counts already is followed by what two looks have found the same: between them nobody has written to it.
    """

    def __init__(self, path: Path, calls: StoreCalls) -> None:
        self._path = path
        self._calls = calls
        self._known: str | None = None
        self._seen: str | None = None
        """What the last look has found."""
        self._counts = False

    async def look(self) -> Policy | None:
        """See `PolicySource`."""
        return await self._calls.run(self._read)

    def _read(self) -> Policy | None:
        text = read_file(self._path)
        digest = hashlib.sha256(text.encode()).hexdigest()
        is_new, self._seen = digest != self._seen, digest
        if digest == self._known or (is_new and self._counts):
            return None
        try:
            policy = Policy(read_policy(text), f"file {digest[:8]}")
        except PolicyError as error:
            # What it is next is another one, even if that is what it was before.
            self._known = None
            raise PolicyError(f"{self._path}: {error}") from None
        self._known, self._counts = digest, True
        return policy
