"""What the driver moves: the link, the supervisors, the files; and how what is to be done is named and ordered."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

from airflow_edge.agent.core.events import (
    Announce,
    Close,
    Command,
    KeepDesired,
    Rename,
    Restart,
    Save,
    StoreJob,
    ToCentre,
)
from airflow_edge.protocol.assignment import AssignmentKey
from airflow_edge.protocol.local import JobFile, SiteTerms, StartJob, StopJob

Deed: TypeAlias = Command | JobFile
"""What is to be done: a command, or, where a job is stored, to let its supervisor in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """What the driver moves: each is called from the event loop, and returns at once.

    What raises is tried again until it does not; the worker says so meanwhile.
    """

    send: Callable[[ToCentre], None]
    start: Callable[[StartJob], None]
    stop: Callable[[StopJob], None]
    admit: Callable[[JobFile], None]
    """The job is stored: let its supervisor in."""
    follow: Callable[[AssignmentKey, Path, SiteTerms | None], None]
    """Ship the log that its task will write, as far as the machine's owner lets it."""
    close: Callable[[AssignmentKey], None]
    announce: Callable[[], None]
    rename: Callable[[str], None]
    restart: Callable[[], None]


NAMES: Final[Mapping[type, str]] = {
    JobFile: "letting in the supervisor",
    StartJob: "the start",
    StopJob: "the stop",
    Close: "the closing",
    Announce: "telling the centre of the worker's state",
    Rename: "the renaming",
    Restart: "the restart",
}


def lane(deed: Deed) -> tuple[str, object]:
    """Say what a deed is about: what is about the same is done in order."""
    match deed:
        case JobFile() | StartJob() | StopJob() | Close():
            return "job", deed.key
        case Announce() | Rename() | Restart() | KeepDesired() | StoreJob() | Save():
            return type(deed).__name__, None
        case message:
            return "centre", getattr(message, "key", None)
