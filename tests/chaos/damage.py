"""What may happen to the files of a state folder while no agent runs: a power cut, a bad disk, a person."""

from __future__ import annotations

import contextlib
import random
from enum import StrEnum
from pathlib import Path

JOURNAL = ("journal.sqlite", "journal.sqlite-wal", "journal.sqlite-shm")
KEY = "worker.json"
"""A worker without its key is none any more: that one has to be enrolled anew, and is left alone."""


class Harm(StrEnum):
    """What may happen to a file."""

    EMPTIED = "emptied"
    CUT_SHORT = "cut short"
    ONE_BIT = "one bit flipped"
    GARBAGE = "overwritten"
    REMOVED = "removed"
    A_FOLDER = "a folder in its place"
    NO_END = "a link to itself in its place"
    """It cannot be read, not even by root."""


def damage(state: Path, dice: random.Random) -> dict[Path, Harm]:
    """Damage one file or several, but of each job one at most; say which, relative to the folder."""
    jobs = sorted(folder for folder in (state / "jobs").iterdir() if folder.is_dir())
    groups = [[state / name for name in JOURNAL if (state / name).exists()]]
    groups += [[path for path in sorted(folder.iterdir()) if path.is_file()] for folder in jobs]
    groups.append([path for path in sorted(state.iterdir()) if path.is_file() and path.name not in {KEY, *JOURNAL}])
    done = {}
    for files in dice.sample(groups, k=min(len(groups), dice.choice([1, 1, 2, 3]))):
        if files:
            path, harm = dice.choice(files), dice.choice(list(Harm))
            # What writes there at the same moment may be faster.
            with contextlib.suppress(OSError):
                _do(path, harm, dice)
                done[path.relative_to(state)] = harm
    return done


def _do(path: Path, harm: Harm, dice: random.Random) -> None:
    size = path.stat().st_size
    match harm:
        case Harm.EMPTIED:
            path.write_bytes(b"")
        case Harm.CUT_SHORT:
            with path.open("r+b") as file:
                file.truncate(dice.randrange(size) if size else 0)
        case Harm.ONE_BIT:
            with path.open("r+b") as file:
                at = dice.randrange(size) if size else 0
                file.seek(at)
                byte = file.read(1) or b"\0"
                file.seek(at)
                file.write(bytes([byte[0] ^ 1 << dice.randrange(8)]))
        case Harm.GARBAGE:
            with path.open("r+b") as file:
                file.write(dice.randbytes(min(size or 1, 4096)))
        case Harm.REMOVED:
            path.unlink()
        case Harm.A_FOLDER:
            path.unlink()
            path.mkdir()
        case Harm.NO_END:
            path.unlink()
            path.symlink_to(path.name)
