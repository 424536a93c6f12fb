"""Whether what was printed is what a page shows: the same words; numbers, times and ids may be others."""

from __future__ import annotations

import json
import re
from typing import Any

FREE = (
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", r"[0-9a-f-]{36}"),
    (r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(?:[.,]\d+)?", r"\d{4}-\d\d-\d\d[ T][\d:.,]+"),
    (r"\d+ (?:s|min|h|d) ago", r"(?:\d+ (?:s|min|h|d) ago|just now)"),
    (r"\b(?=[a-f]*\d)[0-9a-f]{8}\b", r"[0-9a-f]{8}"),
    (r"-[-+]{2,}-?", r"[-+]+"),
    (r"\d+(?:\.\d+)*", r"\d+(?:\.\d+)*"),
    (r"…|\.\.\.", r".*?"),
    (r"\s+", r"\s+"),
)
_PIECES = re.compile("|".join(f"({shape})" for shape, _ in FREE))


def shape(shown: str) -> re.Pattern[str]:
    """Give what output has to look like that a page shows so; where lines break does not matter."""

    def free(match: re.Match[str]) -> str:
        return FREE[(match.lastindex or 1) - 1][1]

    parts, end = [], 0
    for match in _PIECES.finditer(shown.strip()):
        parts += [re.escape(shown.strip()[end : match.start()]), free(match)]
        end = match.end()
    return re.compile("".join([*parts, re.escape(shown.strip()[end:])]), re.DOTALL)


def is_shown(shown: str, printed: str) -> bool:
    """Whether the output has all paragraphs that the page shows, in their order."""
    at = 0
    for paragraph in re.split(r"\n\s*\n", shown.strip()):
        found = shape(paragraph).search(printed, at)
        if found is None:
            return False
        at = found.end()
    return True


def is_part(shown: Any, printed: Any) -> bool:
    """Whether JSON that a page shows is in the JSON that was printed."""
    if isinstance(shown, dict):
        return isinstance(printed, dict) and all(
            key in printed and is_part(value, printed[key]) for key, value in shown.items()
        )
    if isinstance(shown, list):
        return isinstance(printed, list) and len(shown) == len(printed) and all(map(is_part, shown, printed))
    if isinstance(shown, str) and isinstance(printed, str):
        return bool(shape(shown).fullmatch(printed)) or shown == printed
    return type(shown) is type(printed)


def is_part_of(shown: str, printed: str) -> bool:
    """Whether a JSON document that a page shows is in the one that was printed."""
    return is_part(json.loads(shown), json.loads(printed))
