"""What `airflow edge check` and `airflow-edge check` have found out: a line each, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import urlsplit

from airflow_edge.protocol.messages import one_line


class Mark(StrEnum):
    """How good a finding is; only `WRONG` keeps centre or site from being right."""

    OK = "OK"
    NOTE = "NOTE"
    WRONG = "WRONG"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the answer."""

    mark: Mark
    text: str
    advice: str = field(default="", compare=False)
    """The end of the text which says what to do."""


def ok(text: str) -> Finding:
    """Say that something is right."""
    return Finding(Mark.OK, text)


def note(text: str) -> Finding:
    """Say what a person should know."""
    return Finding(Mark.NOTE, text)


def wrong(what: str, to_do: str) -> Finding:
    """Say what has to be changed, and how."""
    return Finding(Mark.WRONG, f"{what}; {to_do}", to_do)


def is_right(found: Iterable[Finding]) -> bool:
    """Say whether nothing has to be changed."""
    return all(finding.mark is not Mark.WRONG for finding in found)


def as_line(finding: Finding) -> str:
    """Give a finding as a line for people."""
    # Strangers may have written some of it.
    return f"{finding.mark:<6} {one_line(finding.text)}"


def as_json(found: Iterable[Finding]) -> str:
    """Give findings for programs: a list of objects with `mark` and `text`."""
    import json

    return json.dumps([{"mark": finding.mark, "text": finding.text} for finding in found], indent=2)


def without_secrets(url: str) -> str:
    """Give a URL without what may be a password: its login, its query and its fragment."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
