"""Texts that come from elsewhere, made fit for people: for a log, a terminal, a page."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable
from typing import Final

MAX_TEXT: Final = 4096
"""Characters of a text for people."""
_ESCAPES: Final = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
"""How a program colours what it says, or names its window: as ECMA-48 has it."""


def one_line(text: str, most: int = MAX_TEXT) -> str:
    """Give a text for people as one line without control characters, of at most `most` characters."""
    printable = "".join(character if character.isprintable() else " " for character in _ESCAPES.sub(" ", text))
    line = " ".join(printable.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def no_such_key(key: object, known: Iterable[str]) -> str:
    """Say that a file has a key which means nothing, and which one may be meant."""
    return f"there is no key '{one_line(str(key), 100)}'; {meant(key, known)}"


def meant(word: object, known: Iterable[str]) -> str:
    """Say which word is meant by one that means nothing, as far as that can be told, and which there are."""
    # An agent is small, and few of them ever need it.
    from difflib import get_close_matches

    words = list(known)
    nearest = get_close_matches(str(word)[:100], words, n=1)
    there_are = f"there are: {', '.join(words)}"
    return f"did you mean '{nearest[0]}'? ({there_are})" if nearest else there_are


def escaped(text: str) -> str:
    """Give a text as one line, with escapes in place of all that is not printable."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode("ascii") for one in text)


def counted(number: int, one: str, more: str = "") -> str:
    """Give the number with what it counts, `more` being the plural where that is not by an s."""
    return f"{number} {one if number == 1 else more or f'{one}s'}"


class LineFormatter(logging.Formatter):
    """Writes what a record says as one line, whoever's words are in it: none of them makes a record of its own.

    Only a traceback has lines beyond that.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - as `logging` calls it
        """Give the record's first line."""
        record.message = escaped(record.message)
        return super().formatMessage(record)
