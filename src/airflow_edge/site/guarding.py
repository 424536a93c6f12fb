"""Whether somebody else could put another file where one lies by which this machine is guarded."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path
from typing import Final

OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


def open_folder(file: Path, owners: Collection[int]) -> str:
    """Say why others may put another file there, and what to do; empty if they may not.

    :param owners: the users who may, besides root
    :raises OSError: a folder cannot be looked at.
    """
    # Where it is a link, also its end's.
    for folder in dict.fromkeys((file.parent, Path(os.path.realpath(file)).parent)):
        # What is mounted so is nobody's to change here, whatever its mode: so Kubernetes has a ConfigMap.
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            continue
        if why := against(folder.stat(), folder, owners):
            return f"others may put another file there: {why}"
    return ""


def against(facts: os.stat_result, path: Path, owners: Collection[int]) -> str:
    """Say why others may change this file, or put something else into this folder; empty if they may not."""
    if facts.st_uid not in {0, *owners}:
        return f"{path} is another user's (uid {facts.st_uid}); give it to root: chown root {path}"
    # In a folder such as /tmp nobody may take the place of another's file.
    sticky = stat.S_ISDIR(facts.st_mode) and facts.st_mode & stat.S_ISVTX
    if facts.st_mode & OTHERS_WRITE and not sticky:
        mode = stat.S_IMODE(facts.st_mode)
        return f"others may write to {path} (mode {mode:04o}); take that from them: chmod go-w {path}"
    return ""
