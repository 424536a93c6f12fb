"""Whom a worker trusts in TLS, and what it shows there itself: the files that somebody has named."""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple


class Trust(NamedTuple):
    """Files of PEM certificates."""

    ca_file: Path | None = None
    """Whom to trust besides the system's authorities."""
    client_cert: Path | None = None
    """The worker's own certificate for TLS, with what leads to its authority."""
    client_key: Path | None = None
    """Its key; None if that is in the same file."""


SYSTEM: Final = Trust()
"""The system's authorities only, and no certificate of one's own."""
