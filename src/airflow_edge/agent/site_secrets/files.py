"""Secrets that are files: in a folder of the site's, or systemd's credentials.

Each is read when it is asked for, so that a renewed one counts at once. Nothing but a regular file counts that belongs
to the worker's user or to root and is closed to others; a link leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from airflow_edge.agent.errors import describe, user_name
from airflow_edge.agent.site_secrets.rules import is_plain
from airflow_edge.protocol.local import SecretKind
from airflow_edge.site.guarding import OTHERS_WRITE

LONGEST_SECRET: Final = 1024 * 1024
"""Bytes."""
FOLDERS: Final[dict[SecretKind, str]] = {"connection": "connections", "variable": "variables"}
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_THIS_FILE: Final = frozenset({errno.ELOOP, errno.EACCES, errno.EPERM, errno.ENXIO, errno.ENODEV})
"""Errors that say something of one file, and nothing of the others."""


class SourceAwayError(Exception):
    """Whether the site has something, or what it is, cannot be known now; the text says why."""


class UnusableSecretError(Exception):
    """The site has it, and it may not be used as it is; the text says why, without anything of it."""


class SecretFiles:
    """The files of one folder."""

    def __init__(self, folder: Path, uid: int, *, credentials: bool = False) -> None:
        """:param uid: the worker's user
        :param credentials: whether they are systemd's: in one folder, as `connection.…` and `variable.…`
        """
        self._folder = folder
        self._uid = uid
        self._credentials = credentials

    def read(self, kind: SecretKind, name: str) -> str | None:
        """Give a secret's text; None if the site has none of that name.

        :raises SourceAwayError: that cannot be known now.
        :raises UnusableSecretError: its file may not be used.
        """
        if not is_plain(kind, name):
            return None
        with self._opened(kind) as folder:
            if folder is None:
                return None
            try:
                file = os.open(self._file(kind, name), _FILE, dir_fd=folder)
            except FileNotFoundError:
                return None
            except OSError as error:
                if error.errno in _THIS_FILE:
                    path = self._path(kind, name)
                    is_link = error.errno == errno.ELOOP
                    raise UnusableSecretError(
                        f"{path} is a link" if is_link else self._unreadable(path, error)
                    ) from None
                raise SourceAwayError(self._unreadable(self._path(kind, name), error)) from None
            try:
                return self._text(kind, name, file)
            finally:
                os.close(file)

    def names(self, kind: SecretKind) -> tuple[str, ...]:
        """Give the names of what is there.

        :raises SourceAwayError: that cannot be known now.
        """
        prefix = f"{kind}." if self._credentials else ""
        with self._opened(kind) as folder:
            try:
                found = [] if folder is None else os.listdir(folder)  # noqa: PTH208 - a descriptor
            except OSError as error:
                raise SourceAwayError(self._unreadable(self._place(kind), error)) from None
        names = (name.removeprefix(prefix) for name in sorted(found) if name.startswith(prefix))
        return tuple(name for name in names if is_plain(kind, name))

    def strangers(self, besides: Path | None = None) -> Iterator[str]:
        """Say of what else is in the folder that nobody looks for it there.

        :param besides: what may be there, too: the rules
        :raises SourceAwayError: that cannot be known now.
        """
        # Only `check` asks.
        from difflib import get_close_matches

        if self._credentials:
            # Others of the unit's may be there.
            prefixes = {f"{kind}." for kind in FOLDERS}
            for name in self._listed(self._folder):
                near = get_close_matches(f"{name.partition('.')[0]}.", prefixes, n=1)
                if near and not name.startswith(tuple(prefixes)) and "." in name:
                    yield f"{self._folder / name} (did you mean '{near[0]}{name.partition('.')[2]}'?)"
            return
        for name in self._listed(self._folder):
            if name in FOLDERS.values() or name.startswith(".") or self._folder / name == besides:
                continue
            near = get_close_matches(name, FOLDERS.values(), n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(FOLDERS.values())}"
            yield f"{self._folder / name} ({meant})"
        for kind in FOLDERS:
            for name in self._listed(self._place(kind)):
                if not name.startswith(".") and not is_plain(kind, name):
                    yield f"{self._path(kind, name)} (nothing can be called so)"

    def _listed(self, folder: Path) -> list[str]:
        try:
            return sorted(os.listdir(folder))  # noqa: PTH208 - names
        except FileNotFoundError:
            return []
        except OSError as error:
            raise SourceAwayError(self._unreadable(folder, error)) from None

    def faults(self) -> Iterator[str]:
        """Say of each that may not be used why.

        :raises SourceAwayError: that cannot be known now.
        """
        for kind in FOLDERS:
            for name in self.names(kind):
                try:
                    self.read(kind, name)
                except UnusableSecretError as error:
                    yield str(error)

    @contextlib.contextmanager
    def _opened(self, kind: SecretKind) -> Iterator[int | None]:
        """Open the folder of these; None where there is none of them."""
        folder = self._open(kind)
        try:
            yield folder
        finally:
            if folder is not None:
                os.close(folder)

    def _open(self, kind: SecretKind) -> int | None:
        path = self._folder
        try:
            outer = os.open(path, _FOLDER)
            with contextlib.ExitStack() as closing:
                closing.callback(os.close, outer)
                self._look(outer, self._folder)
                if self._credentials:
                    return os.dup(outer)
                # What is behind a link may be anybody's.
                path = self._place(kind)
                inner = os.open(FOLDERS[kind], _FOLDER | os.O_NOFOLLOW, dir_fd=outer)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and self._folder.is_dir():
                return None
            raise SourceAwayError(self._unreadable(path, error)) from None
        with contextlib.ExitStack() as closing:
            closing.callback(os.close, inner)
            self._look(inner, path)
            closing.pop_all()
        return inner

    def _look(self, folder: int, path: Path) -> None:
        """Make sure that nobody else can put anything into it."""
        facts = os.fstat(folder)
        if facts.st_uid not in {0, self._uid}:
            raise SourceAwayError(f"{path} belongs to another user; give it to '{self._user}', or to root")
        if facts.st_mode & OTHERS_WRITE:
            mode = stat.S_IMODE(facts.st_mode)
            raise SourceAwayError(f"others may write to {path} (mode {mode:04o}); chmod 700 it")

    def _text(self, kind: SecretKind, name: str, file: int) -> str:
        facts = os.fstat(file)
        path = self._path(kind, name)
        mode = stat.S_IMODE(facts.st_mode)
        # systemd lets the service's user in by an access list, whose mask takes the group's place in the mode.
        others = 0o337 if self._credentials else 0o177
        if not stat.S_ISREG(facts.st_mode):
            raise UnusableSecretError(f"{path} is no file")
        if facts.st_uid not in {0, self._uid}:
            raise UnusableSecretError(f"{path} belongs to another user; give it to '{self._user}'")
        if mode & others:
            raise UnusableSecretError(f"{path} is open to others (mode {mode:04o}); chmod 600 {path}")
        with os.fdopen(file, "rb", closefd=False) as opened:
            content = opened.read(LONGEST_SECRET + 1)
        if len(content) > LONGEST_SECRET:
            raise UnusableSecretError(f"{path} is longer than {LONGEST_SECRET} bytes")
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise UnusableSecretError(f"{path} is no UTF-8") from None
        # An editor's end of the last line is none of the secret's.
        return text.removesuffix("\n").removesuffix("\r")

    def _unreadable(self, path: Path, error: OSError) -> str:
        if error.errno not in {errno.EACCES, errno.EPERM}:
            return f"{path} cannot be read: {describe(error)}"
        # Often more than one thing in there is another user's, and he sees only the first.
        return f"{path} cannot be read by '{self._user}': {error.strerror}; `chown -R {self._user} {self._folder}`"

    @property
    def _user(self) -> str:
        return user_name(self._uid)

    def _place(self, kind: SecretKind) -> Path:
        return self._folder if self._credentials else self._folder / FOLDERS[kind]

    def _file(self, kind: SecretKind, name: str) -> str:
        return f"{kind}.{name}" if self._credentials else name

    def _path(self, kind: SecretKind, name: str) -> Path:
        return self._place(kind) / self._file(kind, name)
