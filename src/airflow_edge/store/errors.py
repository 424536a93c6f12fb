"""What goes wrong with logs, in words for whoever set them up."""

from __future__ import annotations


class LogStoreError(Exception):
    """A log store cannot be used, or did not do what it was asked; names the setting, and says what to do."""


class LogUnreadableError(Exception):
    """Bytes of a log are not where they should be, or cannot be read there; says where, and what to do."""
