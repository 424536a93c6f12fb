"""Whole logs as objects in a store outside the database: a bucket, or a folder (`[edge] log_store`)."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote
from uuid import UUID, uuid4

from airflow_edge.rules.file_names import fitting
from airflow_edge.store.logs.rows import LARGEST_ROW
from airflow_edge.store.logs.seekable_zstd import cut, frames, pieces, read_table, table, table_length

TAIL: Final = 64 * 1024
"""Bytes read from an object's end: its table, for all but the largest logs."""
UPLOAD_BLOCK: Final = 8 * 1024 * 1024
"""Bytes kept in memory while an object is written; S3 takes at most 10,000 of them."""
LONGEST_NAME: Final = 150
"""Bytes of one part of a log's path: with what is appended, a file system has to take it."""

_WITHOUT_FOLDERS: Final = frozenset({"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "oss", "memory"})
_INSTALL: Final = {
    "s3": "'airflow-edge[s3]'",
    "s3a": "'airflow-edge[s3]'",
    "gs": "'airflow-edge[gcs]'",
    "gcs": "'airflow-edge[gcs]'",
    "abfs": "adlfs",
    "abfss": "adlfs",
    "az": "adlfs",
}
_CREDENTIALS: Final = re.compile(r"//[^/@]*@(?=[^/]*/)")


class LogStoreError(Exception):
    """A log store cannot be used, or did not do what it was asked; names the setting, and says what to do."""


class ObjectStore:
    """A store at a URL that fsspec knows; credentials come from where its library looks for them.

    Nothing is imported or connected to before it is used. All methods raise `LogStoreError`.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def check(self) -> None:
        """Write, read and delete a small object."""
        key = f".airflow-edge-check-{uuid4().hex}"
        self.write(key, [b"check"])
        found = b"".join(self.read(key, 0, 5))
        self.delete(key)
        if found != b"check":
            raise LogStoreError(f"{self._name} gave back something else than was written to it")

    def write(self, key: str, plain: Iterable[bytes]) -> None:
        """Write an object. When this returns, it is there and durable; when it fails, there may be a part of it.

        What `plain` raises is passed on.
        """
        sizes: list[tuple[int, int]] = []
        with self._explained("writing", key):
            filesystem, path = self._open(key)
            in_folder = "file" in _protocols(filesystem)
            if not _WITHOUT_FOLDERS.intersection(_protocols(filesystem)):
                filesystem.makedirs(path.rpartition("/")[0], exist_ok=True)
            target = filesystem.open(path, "wb", block_size=UPLOAD_BLOCK)
        try:
            for frame, size in frames(plain, LARGEST_ROW):
                with self._explained("writing", key):
                    target.write(frame)
                sizes.append((len(frame), size))
        except BaseException:
            with suppress(Exception):
                target.close()
            raise
        end = table(sizes)
        expected = sum(length for length, _ in sizes) + len(end)
        with self._explained("writing", key):
            with target:
                target.write(end)
                if in_folder:
                    target.flush()
                    os.fsync(target.fileno())
            if in_folder:
                _sync_folder(Path(path).parent)
            if (there := filesystem.size(path)) != expected:
                raise LogStoreError(f"{self._name} holds {there} of the {expected} bytes written to {key}")

    def read(self, key: str, begin: int, end: int) -> Iterator[bytes]:
        """Give this range of the plain bytes of an object, piece by piece, in bounded memory."""
        with self._explained("reading", key):
            filesystem, path = self._open(key)
            tail = filesystem.cat_file(path, start=-TAIL)
            if (length := table_length(tail)) > len(tail):
                tail = filesystem.cat_file(path, start=-length)
            wanted = [frame for frame in read_table(tail) if frame.offset < end and frame.offset + frame.size > begin]
        for frame in wanted:
            with self._explained("reading", key):
                data = filesystem.cat_file(path, start=frame.begin, end=frame.begin + frame.length)
            yield from cut(pieces(data), max(0, begin - frame.offset), end - frame.offset)

    def delete(self, key: str) -> None:
        """Delete an object; it is no error if there is none."""
        with self._explained("deleting", key):
            filesystem, path = self._open(key)
            with suppress(FileNotFoundError):
                filesystem.rm_file(path)

    def _open(self, key: str) -> tuple[Any, str]:
        from fsspec.core import url_to_fs

        filesystem, root = url_to_fs(self.url)
        return filesystem, f"{root.rstrip('/')}/{key}"

    @property
    def _name(self) -> str:
        return f"the log store {_CREDENTIALS.sub('//***@', self.url)} ([edge] log_store)"

    @contextmanager
    def _explained(self, doing: str, key: str) -> Iterator[None]:
        try:
            yield
        except LogStoreError:
            raise
        except ImportError as error:
            package = _INSTALL.get(self.url.partition("://")[0], "what this message names")
            raise LogStoreError(
                f"{self._name} needs a library that is not installed here ({error}). "
                f"Run, wherever an API server runs: pip install {package}"
            ) from error
        # Each library has errors of its own.
        except Exception as error:
            raise LogStoreError(
                f"{self._name} fails {doing} {key} ({type(error).__name__}: {error}). Check the address, and the "
                "credentials in the environment of the API server"
            ) from error


def object_key(path: str, job_id: UUID, assignment: int) -> str:
    """Give a new name for the object of a log: Airflow's relative path of it, then which job and assignment.

    It ends in something random, so that two that write the same log at once never write the same object.
    """
    parts = [_safe(part) for part in path.split("/") if part] or ["log"]
    *folders, name = fitting("/".join(parts), longest_name=LONGEST_NAME).split("/")
    stem = name.removesuffix(".log")
    return "/".join([*folders, f"{stem}.{job_id}.{assignment}.{uuid4().hex[:8]}.log.zst"])


def _safe(part: str) -> str:
    """Leave a part of a path as it is, unless some store could take it for something else."""
    if part in {".", ".."}:
        return part.replace(".", "%2E")
    return "".join(quote(c, safe="") if c in '\\%?*[]"<>|#{}^~`' or not c.isprintable() else c for c in part)


def _protocols(filesystem: Any) -> set[str]:
    protocol = filesystem.protocol
    return {protocol} if isinstance(protocol, str) else set(protocol)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
