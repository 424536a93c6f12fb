"""A maintenance as it is told to whoever wonders about it, or is about to end it."""

from __future__ import annotations

from datetime import UTC, datetime


def describe_maintenance(comment: str, by: str | None, until: datetime | None) -> str:
    """Say who has put a worker into maintenance, why, and until when; empty if nothing of it is known."""
    if not (comment or by or until):
        return ""
    who = f" by {by}" if by else ""
    ends = f", ending {until.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if until else ""
    why = f": '{comment.strip().rstrip('.')}'" if comment.strip() else ""
    return f"in maintenance{who}{ends}{why}"
