"""What is wrong with the machine, so that the worker takes no new job: said in words that name what mends it."""

from __future__ import annotations

import errno
import os
import resource
from pathlib import Path

MEBIBYTE = 1024 * 1024
FEWEST_FILES = 100
"""Files that a disk must have room for: a job makes a handful."""


def look(state_dir: Path, min_free_disk: int) -> tuple[str, ...]:
    """Give all that speaks against new jobs now. Nothing is written for it: a site's disk may wear out.

    :param min_free_disk: bytes
    """
    try:
        # That there is a descriptor to be had is found out by the way.
        folder = os.open(state_dir, os.O_RDONLY)
    except OSError as error:
        return (f"the state folder {state_dir} cannot be used: {describe(error)}",)
    try:
        disk = os.fstatvfs(folder)
    finally:
        os.close(folder)
    found = []
    if not os.access(state_dir, os.W_OK):
        found.append(
            f"the state folder {state_dir} cannot be written to; give it to this user, or mount its disk for writing"
        )
    if disk.f_bavail * disk.f_frsize < min_free_disk:
        found.append(
            f"less than {min_free_disk // MEBIBYTE} MiB ([edge] min_free_disk) are free on the disk of the state "
            f"folder {state_dir}; make room there"
        )
    # Some file systems make room for files as they go, and say 0 of 0.
    if min_free_disk and disk.f_files and disk.f_favail < FEWEST_FILES:
        found.append(f"the disk of the state folder {state_dir} has no inodes left for new files; remove some")
    return tuple(found)


def describe(error: OSError) -> str:
    """Say what an error of the operating system means."""
    if error.errno == errno.EMFILE:
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return (
            f"the worker has as many files and connections open as it may ({limit}); raise the limit (LimitNOFILE= in "
            "its systemd unit, or `ulimit -n`) and start it anew, which its tasks outlive"
        )
    if error.errno == errno.ENFILE:
        return "this machine has as many files open as it can; end what opens them, or raise the sysctl fs.file-max"
    return f"{error.strerror or error}; give it to this user"
