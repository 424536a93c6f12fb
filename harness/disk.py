"""A small disk of its own, to be filled. Only root may mount one."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CAN_MOUNT = os.geteuid() == 0


@contextmanager
def small_disk(folder: Path, *, size: str = "8m") -> Iterator[Path]:
    """Have a folder on a disk of this size."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size},mode=0700", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path) -> Path:
    """Leave no room on it; give the file that takes it all."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (64 * 1024, 1):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    return filler
