"""The page as the build of the wheel left it in this package."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).with_name("bundle")
"""Where `hatch_build.py` puts it; nothing of it is in the repository."""

_ENTRY: Final = re.compile(r"edge-[\w-]{8}\.js")
_HASHED: Final = re.compile(r".+-[\w-]{8}\.\w+")


class BundleMissingError(Exception):
    """The page was not built; says what to do."""


@dataclass(frozen=True)
class Bundle:
    """The files that a browser is given, by name, with what they hold.

    That is in memory, some hundred kilobytes, so that an update in the folder does not take away what a running API
    server has promised. `entry` is the one that Airflow's page imports; it asks for the others itself.
    """

    entry: str
    files: Mapping[str, bytes]

    def is_lasting(self, name: str) -> bool:
        """Whether a file has its content's hash in its name, so that what it holds never changes."""
        return _HASHED.fullmatch(name) is not None


def read_bundle(folder: Path = FOLDER) -> Bundle:
    """Find the page.

    :raises BundleMissingError: it is not there, or not whole
    """
    try:
        names = json.loads((folder / "built.json").read_text(encoding="utf-8"))["files"]
        files = {name: (folder / name).read_bytes() for name in names}
    except (OSError, ValueError, KeyError, TypeError):
        files = {}
    entries = [name for name in files if _ENTRY.fullmatch(name)]
    if len(entries) != 1:
        raise BundleMissingError(
            "The page of edge workers is not in this installation: it was not built, as happens in an editable install "
            "without Node. Run `python hatch_build.py` in the clone and restart the API server; `airflow edge` and the "
            "REST API do without it."
        )
    return Bundle(entries[0], files)
