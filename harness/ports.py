"""Free TCP ports on the loopback interface."""

from __future__ import annotations

import socket

_handed_out: set[int] = set()


def free_port() -> int:
    """Return a port nothing listens on now, and which this process was never given before.

    The kernel may hand the same ephemeral port out twice while its first owner has not bound it yet; remembering
    what was handed out closes that gap for everything this process starts.
    """
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _handed_out:
            _handed_out.add(port)
            return port
