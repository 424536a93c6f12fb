"""What the end of a task's log knows of why it failed. The lines are Airflow's JSON, as the Task SDK writes them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Final

import msgspec

ENOUGH: Final = 64 * 1024
"""Bytes at the end of a log in which its last error is looked for."""
LONGEST: Final = 300
"""Characters of what is quoted."""

_DAG_NOT_FOUND: Final = "Dag not found during start up"
_TASK_NOT_FOUND: Final = "Task not found in Dag during start up"
_NOT_LOADED: Final = "Error loading DAG from "
"""Comes before the first of these where the file is there and failed."""
_ABOUT_A_NUMBER: Final = "Startup reschedule limit exceeded"
"""It follows upon one of these, and does not say why."""
_DENIED: Final = "Access denied"
_KEPT: Final = re.compile(r"(?:whether )?this site has the (?:connection|variable) '(.+?)'[ ,]")
"""What a worker writes into a task's log when it does not give it what the site keeps (`agent.site_secrets`)."""
_ERRORS: Final = frozenset({"error", "critical"})
_IMPORTS: Final = frozenset({"ModuleNotFoundError", "ImportError"})


@dataclass(frozen=True, slots=True)
class LastWords:
    """The last error in a log."""

    text: str
    """In one line: the exception, or what was logged."""
    dag_not_found: bool = False
    """The site does not have the Dag, or not this task of it."""
    task_not_found: bool = False
    """It has the Dag, in another version: without the task."""
    not_loaded: str = ""
    """Why not, where the Dag's file is there and could not be loaded: in one line."""
    import_failed: bool = False
    """Something that the Dag or task imports is not installed there."""
    kept_at_site: str = ""
    """Why the site did not give what the task was refused, in the site's words; empty where it was not the site."""


def last_words(lines: Iterable[bytes | str]) -> LastWords | None:
    """Give the last error in these lines; None if there is none."""
    found, not_loaded = None, ""
    kept: dict[str, str] = {}
    for line in lines:
        try:
            said = msgspec.json.decode(line)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            continue
        if isinstance(said, dict) and (own := _KEPT.match(str(said.get("event")))) is not None:
            kept[own[1]] = str(said.get("event"))
        elif isinstance(said, dict) and str(said.get("level")) in _ERRORS and said.get("event") != _ABOUT_A_NUMBER:
            found = said
            not_loaded = event if (event := str(said.get("event"))).startswith(_NOT_LOADED) else not_loaded
    if found is None:
        return None
    words = _words(found, not_loaded)
    # Airflow says only what was refused, not by whom.
    why = next((why for name, why in kept.items() if _DENIED in words.text and f"'{name}'" in words.text), "")
    return replace(words, kept_at_site=_shortened(why))


def _words(said: dict[str, Any], not_loaded: str) -> LastWords:
    event = str(said.get("event", ""))
    chain = said.get("error_detail")
    raised = chain[0] if isinstance(chain, list) and chain and isinstance(chain[0], dict) else {}
    kind = str(raised.get("exc_type", ""))
    text = f"{kind}: {raised.get('exc_value', '')}" if kind else event
    not_found = event in (_DAG_NOT_FOUND, _TASK_NOT_FOUND)
    return LastWords(
        text=_shortened(text),
        dag_not_found=not_found,
        task_not_found=event == _TASK_NOT_FOUND,
        not_loaded=_shortened(not_loaded) if not_found else "",
        import_failed=kind in _IMPORTS,
    )


def _shortened(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
