"""Notes in which process something is loaded."""

from __future__ import annotations

import os
from pathlib import Path


def loaded(what: str) -> None:
    with Path(os.environ["SAMPLE_FOLDER"], "loaded").open("a", encoding="ascii") as file:
        file.write(f"{what} {os.getpid()}\n")
