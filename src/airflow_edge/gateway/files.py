"""How many files this process may open: each linked worker takes one."""

from __future__ import annotations

import logging
import resource

log = logging.getLogger(__name__)

ENOUGH = 16_384
"""A limit above which nothing is said: more than twice the links that one process is made for."""


def allow_many_files() -> None:
    """Raise the soft limit, which is for programs that use `select`, to the hard one; say so where that is low."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = resource.RLIM_INFINITY
    if soft not in {hard, unlimited}:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (OSError, ValueError) as error:
            log.warning("The limit of open files stays at %d: %s", soft, error)
            hard = soft
    if hard != unlimited and hard < ENOUGH:
        log.warning(
            "This API server process may open %d files, and each edge worker that is linked to it takes one. For more, "
            "raise the limit where it is started: LimitNOFILE= (systemd), --ulimit nofile= (containers), ulimit -Hn",
            hard,
        )
