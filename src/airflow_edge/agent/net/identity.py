"""Who this worker is: its name, its centre and its private key, in one file of the state folder."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import secrets
import stat
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from nacl.signing import SigningKey

from airflow_edge.agent.errors import (
    AgentError,
    ConfigError,
    InsecureUrlError,
    NotEnrolledError,
    OtherUserError,
    unusable,
    user_name,
)
from airflow_edge.agent.net.centre_key import Pin
from airflow_edge.agent.trust import SYSTEM, Trust
from airflow_edge.protocol import tokens
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.enrolment import ANEW
from airflow_edge.protocol.problems import WHOLE
from airflow_edge.protocol.urls import gateway_url, unprotected
from airflow_edge.site.files import DamagedError, decode

log = logging.getLogger(__name__)

Stored = TypeVar("Stored", bound="Signer")


def _steady() -> float:
    # Unlike CLOCK_MONOTONIC, it goes on while the machine sleeps.
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Clock:
    """The time by which a worker signs its tokens.

    It begins with this machine's time and goes on evenly from there, though somebody set the machine's clock.
    """

    def __init__(self, *, wall: Callable[[], float] = time.time, steady: Callable[[], float] = _steady) -> None:
        """:param wall: gives the seconds since the epoch, by this machine's clock
        :param steady: gives seconds that nobody sets
        """
        self._wall = wall
        self._steady = steady
        self._offset = wall() - steady()
        self._is_centres = False

    def now(self) -> float:
        """Give the seconds since the epoch."""
        return self._offset + self._steady()

    def refused(self, centre_time: float | None) -> bool:
        """Go by the centre's time from now on, or look at this machine's anew, because a token's time was refused.

        :param centre_time: seconds since the epoch, if the centre has said so and it was certainly the centre
        :return: whether that is another time, so that another attempt may succeed
        """
        before = self.now()
        self._is_centres = centre_time is not None
        self._offset = (self._wall() if centre_time is None else centre_time) - self._steady()
        return abs(self.now() - before) > 1

    @property
    def machine_ahead(self) -> int:
        """By how many seconds this machine's clock is ahead of the centre's, as far as known; negative if behind."""
        return round(self._wall() - self.now()) if self._is_centres else 0


class Signer(msgspec.Struct, kw_only=True, dict=True, eq=False):
    """A private key that signs the token of one request. The fields are what is stored of it."""

    private_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)]
    """32 bytes, hex."""

    def __post_init__(self) -> None:
        self.clock = Clock()
        self._key = SigningKey(bytes.fromhex(self.private_key))

    # A struct's own would show the key.
    __repr__ = object.__repr__

    @property
    def subject(self) -> str:
        """Whom the tokens name as their sender."""
        raise NotImplementedError

    @property
    def public_key(self) -> str:
        """32 bytes, hex."""
        return bytes(self._key.verify_key).hex()

    def token(self, method: str, path: str, *, query: str = "", job: str = "", body: str = "") -> str:
        """Sign a token for one request; `path` is that below the gateway, without query (`/v1/link` for example).

        :param query: without the question mark
        :param job: what the header `X-Airflow-Edge-Job` says
        :param body: the `tokens.body_digest`
        """
        claims = tokens.new_claims(
            sub=self.subject,
            now=self.clock.now(),
            jti=secrets.token_urlsafe(16),
            method=method,
            path=path,
            query=query,
            job=job,
            body=body,
        )
        signed = tokens.signing_input(claims)
        return tokens.assemble(signed, self._key.sign(signed).signature)


class Identity(Signer, kw_only=True):
    """An enrolled worker, as the centre knows it."""

    worker_id: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    name: str
    api_url: str
    queues: tuple[str, ...]
    centre_key: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$" + WHOLE)]
    """The centre's key that is pinned (Ed25519), hex; see `centre_key`."""
    insecure: bool = False
    """Whether whoever has enrolled it has allowed that it talks to the centre without TLS."""
    first_name: str = ""
    """What it was called when it enrolled."""
    ca_file: str = ""
    client_cert: str = ""
    client_key: str = ""
    """With what it enrolled, for the worker to go on with; see `tls_and_proxy.Trust`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.first_name = self.first_name or self.name

    @property
    def subject(self) -> str:
        return self.worker_id

    @property
    def trust(self) -> Trust:
        """The certificates that it enrolled with."""
        return Trust(*(Path(file) if file else None for file in (self.ca_file, self.client_cert, self.client_key)))

    @classmethod
    def load(cls, file: Path) -> Identity:
        """Read an identity.

        :raises NotEnrolledError: there is none, it is damaged, or others may read the key.
        :raises AgentError: it cannot be read now.
        """
        if found := _load(file, cls):
            return found
        raise NotEnrolledError(
            f"this worker is not enrolled: there is no {file}; run the command that "
            "`airflow edge enroll-token create` prints at the centre"
        )

    def gateway(self, api_url: str | None) -> str:
        """Give the gateway's base URL.

        :param api_url: where Airflow is, if that is set; None for where it was at enrolment
        :raises ConfigError: it is no URL, or the way there is without TLS, which nobody has allowed.
        """
        try:
            gateway = gateway_url(api_url or self.api_url)
        except ValueError as error:
            raise ConfigError(f"{error}; set AIRFLOW__EDGE__API_URL") from error
        if unprotected(gateway) and not self.insecure:
            raise InsecureUrlError(gateway, f"{ANEW} --insecure")
        return gateway

    def pin(self, file: Path) -> Pin:
        """Give the centre's key; a newer one is kept in this file."""

        def keep(key: str) -> None:
            self.centre_key = key
            self._kept(file, "the centre's new key")

        return Pin(self.centre_key, keep)

    def _kept(self, file: Path, what: str) -> None:
        try:
            self.save(file)
        except (OSError, AgentError) as error:
            log.warning("%s cannot be written to %s: %s", what, file, error)

    def job_secret(self, key: AssignmentKey) -> str:
        """Give what opens the Execution API at this site for a job: known again though its file is damaged."""
        seed = bytes.fromhex(self.private_key)
        return hashlib.blake2b(str(key).encode(), key=seed, person=b"job secret", digest_size=32).hexdigest()

    def save(self, file: Path) -> None:
        """Write the identity, all or nothing, for this user's eyes only."""
        write_private(file, msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    def rename(self, file: Path, name: str) -> None:
        """Go by another name from now on, also if that cannot be written to this file: the centre says it again."""
        if name == self.name:
            return
        self.name = name
        log.info("this worker is called '%s' from now on", name)
        self._kept(file, "the new name")


class PendingKey(Signer, kw_only=True):
    """A key whose enrolment was asked for, and perhaps granted without the answer reaching us.

    It is kept until the centre has answered: asked again with the same key and name, the centre finds the same worker.
    """

    name: str

    @property
    def subject(self) -> str:
        return tokens.ENROLMENT

    @classmethod
    def made_up(cls) -> PendingKey:
        """Give one that nobody knows, to ask what everybody may."""
        return cls(name="nobody", private_key=bytes(SigningKey.generate()).hex())

    @classmethod
    def load_or_generate(cls, file: Path, name: str) -> PendingKey:
        """Read the key kept for this name, or make a new one and keep it.

        :raises NotEnrolledError: the kept one is damaged, or others may read it.
        """
        kept = _load(file, cls)
        if kept is not None and kept.name == name:
            return kept
        pending = cls(name=name, private_key=bytes(SigningKey.generate()).hex())
        write_private(file, msgspec.json.encode(pending))
        return pending

    def enrolled(
        self,
        *,
        worker_id: str,
        api_url: str,
        queues: tuple[str, ...],
        centre_key: str,
        trust: Trust = SYSTEM,
    ) -> Identity:
        """Give the identity that the centre has granted."""
        return Identity(
            worker_id=worker_id,
            name=self.name,
            api_url=api_url,
            queues=queues,
            centre_key=centre_key,
            private_key=self.private_key,
            ca_file=str(trust.ca_file or ""),
            client_cert=str(trust.client_cert or ""),
            client_key=str(trust.client_key or ""),
        )


def make_private_folder(folder: Path) -> None:
    """Make the state folder, or see that an existing one is closed to others.

    :raises AgentError: it cannot be made now; `OtherUserError`, if it is another user's.
    """
    try:
        _make(folder)
        if folder.stat().st_mode & 0o077:
            folder.chmod(0o700)
        # Whom it belongs to is seen only in what is done there.
        if not os.access(folder, os.R_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    except (FileExistsError, NotADirectoryError) as error:
        raise NotEnrolledError(
            f"the state folder {folder} is no folder; set [edge] state_dir to another one"
        ) from error
    except OSError as error:
        raise unusable(folder, error) from error


def _make(folder: Path) -> None:
    """Make a folder; where only root may, say how, for this user: a service's user seldom has a place of its own."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except PermissionError as error:
        user = user_name(os.geteuid())
        raise OtherUserError(
            f"the state folder {folder} cannot be made by the user '{user}' ({error.strerror}); make it for that user: "
            f"sudo install -d -o {user} -m 700 {folder}"
        ) from error


def write_private(file: Path, content: bytes) -> None:
    """Write a file with mode 0600, all or nothing, and durably; its folder is made if need be.

    :raises AgentError: the folder cannot be used.
    :raises OSError: the file cannot be written.
    """
    make_private_folder(file.parent)
    descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(content)
            output.flush()
            os.fsync(output.fileno())
        Path(temporary).replace(file)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _load(file: Path, kind: type[Stored]) -> Stored | None:
    try:
        with file.open("rb") as source:
            facts = os.fstat(source.fileno())
            content = source.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unusable(file, error) from error
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise NotEnrolledError(
            f"others may read the private key in {file} (mode {stat.S_IMODE(facts.st_mode):04o}), so it is not used; "
            f"if nobody has read it, `chmod 600 {file}`, else revoke this worker at the centre and enrol anew: "
            f"{ANEW}"
        )
    try:
        return decode(content, kind)
    except DamagedError as error:
        raise NotEnrolledError(f"{file} is damaged ({error}); remove it and enrol anew") from error
