"""A supervisor, as the runtime that has forked it sees it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TypeAlias

from airflow_edge.site.processes import kill_session, no_process
from airflow_edge.site.stop import StopSteps

End: TypeAlias = tuple[int | None, int | None]
"""An exit status, or the signal that has ended it; neither where nobody knows."""


@dataclass(slots=True)
class Supervisor:
    """One that was forked and not forgotten yet."""

    pid: int
    stop: StopSteps
    ended: End | None = None
    """How it has ended, once its process is gone."""

    def reap(self) -> End | None:
        """Give how it has ended; None while it lives.

        :raises OSError: what it has left behind cannot be ended now; it is not given up.
        """
        self.ended = self.ended or self._look()
        return self.ended

    def _look(self) -> End | None:
        try:
            ended = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            # Somebody has taken its status: it is gone, and nobody knows how.
            return None, None
        if ended is None:
            return None
        killed = ended.si_code != os.CLD_EXITED
        if killed or self.stop.asked:
            # Before its pid is given back: it is the session's id.
            kill_session(self.pid)
        os.waitpid(self.pid, 0)
        return (None, ended.si_status) if killed else (ended.si_status, None)


def try_fork() -> str:
    """Say why no process is to be had; nothing if one is. A supervisor needs one for its task, too."""
    children = []
    try:
        for _ in range(2):
            child = os.fork()
            if child == 0:
                os._exit(0)
            children.append(child)
    except (OSError, MemoryError) as error:
        return no_process(error)
    finally:
        for child in children:
            os.waitpid(child, 0)
    return ""
