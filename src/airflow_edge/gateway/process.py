"""The API server's process, which many links share: what holds it up for a moment holds all of them up.

What is set here is the whole process's, Airflow's part included; see decision 0032.
"""

from __future__ import annotations

import gc
import logging
import resource
import sys
from typing import Final

log = logging.getLogger(__name__)

ENOUGH_FILES: Final = 16_384
"""A limit above which nothing is said: more than twice the links that one process is made for."""
SWITCH_INTERVAL: Final = 0.001
"""Seconds after which a thread that computes lets another go on. The event loop has to wait for that with each frame
that it unpacks, and a site can send a hundred at once."""
GARBAGE: Final = (10_000, 10, 50)
"""How many new objects the searches for garbage wait for, see `gc.set_threshold`. By default the long one came every
seven seconds, and took a tenth of one."""


def allow_many_files() -> None:
    """Raise the soft limit of open files, which is for programs that use `select`, to the hard one.

    Each linked worker takes one file; where there are few, say so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft not in {hard, unlimited}:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("The limit of open files stays at %d: %s", soft, error)
            hard = soft
    if hard != unlimited and hard < ENOUGH_FILES:
        log.warning(
            "This API server process may open %d files, and each edge worker that is linked to it takes one. For more, "
            "raise the limit where it is started: LimitNOFILE= (systemd), --ulimit nofile= (containers), ulimit -Hn",
            hard,
        )


def serve_links() -> None:
    """Have no thread, and no search for garbage, keep the event loop waiting for long."""
    sys.setswitchinterval(min(sys.getswitchinterval(), SWITCH_INTERVAL))
    # It may be set already to search more seldom, or never (0).
    if gc.isenabled() and 0 < gc.get_threshold()[0] < GARBAGE[0]:
        gc.set_threshold(*GARBAGE)


def keep_what_is_loaded() -> None:
    """Search no more for garbage in what is there by now: it stays, and is most of what there is."""
    gc.freeze()
