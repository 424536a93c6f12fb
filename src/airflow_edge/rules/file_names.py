"""Names that every file system and every bucket takes, for what is named by ids: Airflow permits 250 characters of any
script for each, which may be a thousand bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final

LONGEST_NAME: Final = 255
"""Bytes of one part of a path, in the usual file systems."""
LONGEST_PATH: Final = 800
"""Bytes of a whole one: S3 and GCS take 1,024, with whatever is put before it."""


def fitting(path: str, *, longest_name: int = LONGEST_NAME) -> str:
    """Give the same path, but for parts that are too long: they keep their beginning, and end in a hash.

    Two paths stay two. One that is too long as a whole becomes its beginning, a hash, and its last part.

    :param longest_name: bytes of a part, at least 20
    """
    parts = [_fitting(part, longest_name) for part in path.split("/")]
    whole = "/".join(parts)
    if len(whole.encode(errors="surrogateescape")) <= LONGEST_PATH:
        return whole
    return "/".join([parts[0], _digest(path), parts[-1]])


def _fitting(part: str, longest: int) -> str:
    data = part.encode(errors="surrogateescape")
    if len(data) <= longest:
        return part
    return f"{data[: longest - 17].decode('utf-8', 'ignore')}~{_digest(part)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
