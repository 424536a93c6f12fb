"""What can go wrong at a site, with the exit status of `airflow-edge` that stands for it.

::

    AgentError                    1   anything else
    ├── ConfigError               2   a flag or a setting that makes no sense
    │   └── InsecureUrlError              the way to the centre is without TLS, and nobody has allowed that
    ├── NotEnrolledError          3   no key in the state folder, or one that must not be used
    │   └── OtherUserError                the state folder, or a part of it, is another user's
    ├── AlreadyRunningError       4   a worker runs in this state folder
    ├── AddressError              5   no gateway was found at the URL
    │   ├── WrongUrlError             what answers there is not the gateway of an Airflow API server
    │   └── UnreachableError          nothing answers there, or not now: worth another attempt
    │       ├── NotReadyError             the gateway is there and getting ready
    │       └── ForeignAnswerError        somebody on the way answers in the centre's place
    ├── CertificateError          6   the centre's certificate is not trusted
    ├── ApiNotEnabledError        7   `[edge] api_enabled` is off at the centre
    ├── RefusedError              8   the centre does not want this worker, this name or this token
    ├── ClockError                9   the clocks of site and centre differ too much
    └── NotRunningError          10   no worker runs in this state folder

The text of each says what to do about it, in one line.
"""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import ClassVar, Final

SHORTAGES: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""Numbers of errors of the operating system that say nothing but that the machine lacks something at the moment."""


_NOT_OURS: Final = frozenset({errno.EACCES, errno.EPERM})
_MENDED_BY: Final = {
    errno.EACCES: "give it to {user}",
    errno.EPERM: "give it to {user}",
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room on its disk, or have this user's quota raised",
    errno.EROFS: "mount its disk for writing",
    errno.ENOENT: "mount its disk, or make it",
}


class AgentError(Exception):
    """Base of what a person at the site is told; its text is shown as it is."""

    exit_status: ClassVar[int] = 1

    def __init_subclass__(cls, exit_status: int | None = None) -> None:
        if exit_status is not None:
            cls.exit_status = exit_status


class ConfigError(AgentError, exit_status=2):
    """A flag or setting that makes no sense; the text names it and where it came from."""


class NotEnrolledError(AgentError, exit_status=3):
    """There is no key in the state folder, or one that must not be used."""


class OtherUserError(NotEnrolledError):
    """What is in the state folder is another user's."""


class AlreadyRunningError(AgentError, exit_status=4):
    """A worker runs in this state folder."""


class AddressError(AgentError, exit_status=5):
    """No gateway was found at the URL."""


class WrongUrlError(AddressError):
    """Something answers at the URL, but it is not the gateway of an Airflow API server."""


WITHOUT_TLS = (
    "the way to the centre is http:// without TLS: whoever is on it reads what tasks ask for, and can have this worker "
    "run what they like"
)


class InsecureUrlError(ConfigError):
    """The way to the centre leaves this machine without TLS, and nobody has allowed that."""

    def __init__(self, gateway: str, allow: str) -> None:
        """:param allow: what is typed to allow it"""
        super().__init__(f"{WITHOUT_TLS} ({gateway}); use https://, or allow it where that is as it should be: {allow}")


class UnreachableError(AddressError):
    """Nothing answers at the URL, or not now. The only error that another attempt may cure without anybody's doing.

    `perhaps_delivered` is False where it is certain that the centre has not acted on the request.
    """

    def __init__(self, message: str, *, perhaps_delivered: bool = True) -> None:
        super().__init__(message)
        self.perhaps_delivered = perhaps_delivered


class NotReadyError(UnreachableError):
    """The gateway is there, and getting ready: worth waiting for."""


class ForeignAnswerError(UnreachableError):
    """Somebody on the way has answered in the centre's place: nothing is known of the request but that.

    `status` is that of the answer, 0 if it was no HTTP; `retry_after` the seconds that it asks us to wait.
    """

    def __init__(self, message: str, status: int = 0, *, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after


class CertificateError(AgentError, exit_status=6):
    """The certificate of the centre, or of the proxy, is not trusted."""


class ApiNotEnabledError(AgentError, exit_status=7):
    """The centre's API server does not serve edge workers yet."""


class RefusedError(AgentError, exit_status=8):
    """The centre does not want this worker, this name or this token. `code` is one of `protocol.problems.Code`."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class ClockError(AgentError, exit_status=9):
    """The clocks of site and centre differ by more than a token allows."""

    def __init__(self, message: str, centre_time: float | None = None) -> None:
        """:param centre_time: what the centre's clock shows, in seconds since the epoch, if it has said so"""
        super().__init__(message)
        self.centre_time = centre_time


class NotRunningError(AgentError, exit_status=10):
    """No worker runs in this state folder."""


def describe(error: OSError) -> str:
    """Say what an error of the operating system means, which this process has met as whom it is now."""
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"the worker has as many files and connections open as it may ({limit}); raise the limit (LimitNOFILE= in "
            "its systemd unit, or `ulimit -n`) and start it anew, which its tasks outlive"
        )
    if error.errno == errno.ENFILE:
        return "this machine has as many files open as it can; end what opens them, or raise the sysctl fs.file-max"
    mended = _MENDED_BY.get(error.errno or 0, "see to its disk or mount")
    return f"{error.strerror or error}; {mended.format(user=who())}"


def unusable(path: Path, error: OSError) -> AgentError:
    """Say that a file or folder of the worker cannot be used, and why.

    Only where this is another user's affair does somebody have to act before the next attempt; all else may pass.
    """
    if error.errno in _NOT_OURS:
        return OtherUserError(f"{path} cannot be used by this user ({error.strerror}); {_whose(path)}")
    return AgentError(f"{path} cannot be used: {describe(error)}")


def _whose(path: Path) -> str:
    for place in (path, *path.parents):
        try:
            owner = place.stat().st_uid
        except OSError:
            continue
        if owner != os.geteuid():
            return f"run this as the user '{user_name(owner)}', whose {place} is, or give it to {who()}"
        break
    return f"give it to {who()}, with the right to read and write it"


def who() -> str:
    """Name whom this process is now."""
    return f"'{user_name(os.geteuid())}'"


def user_name(number: int) -> str:
    """Give a user's name; the number where it has none."""
    import pwd

    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def first_error(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Give the error that a person should see: the first that knows its exit status."""
    found = group.subgroup(AgentError) or group
    error: BaseException = found
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
