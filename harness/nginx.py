"""A real nginx as a child process, with a configuration, a folder and a port of its own. Needs no root."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from harness.pages import blocks_of
from harness.ports import free_port
from harness.processes import Process
from harness.waiting import wait_for

HOW_TO_INSTALL = "nginx is not installed; the tests behind a real proxy need it (Debian, Ubuntu: apt-get install nginx)"

_CONFIG = """\
daemon off;
master_process off;
pid nginx.pid;
error_log stderr info;
events {{ }}
http {{
    access_log access.log;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    upstream gateway {{
        {servers}
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://gateway;
            {directives}
        }}
    }}
}}
"""

WITH_UPGRADES = next(block.text for block in blocks_of("docs/how-to/proxies.md") if block.language == "nginx")
"""What nginx needs to let WebSockets through, as our own page says."""


def find_nginx() -> str | None:
    """Give the program's path, also where it is not on a user's PATH."""
    return shutil.which("nginx", path=os.pathsep.join((os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin")))


class Nginx:
    """nginx in front of servers, from `with` on until its end."""

    def __init__(self, folder: Path, servers: Sequence[str], directives: str = "") -> None:
        """Set it up; `find_nginx` has to have found one.

        :param folder: for everything it writes
        :param servers: `host:port` of each; requests go to one after the other
        :param directives: what stands beside `proxy_pass`
        """
        self.folder = folder
        self.port = free_port()
        self._servers = servers
        self._directives = directives
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The base URL of what is behind it."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Nginx:
        program = find_nginx()
        assert program is not None, HOW_TO_INSTALL
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "nginx.conf"
        servers = " ".join(f"server {server};" for server in self._servers)
        config.write_text(_CONFIG.format(servers=servers, port=self.port, directives=self._directives))
        self._process = Process(
            "nginx",
            [program, "-p", self.folder, "-c", config, "-e", "stderr"],
            env={"PATH": os.defpath},
            cwd=self.folder,
            log=self.folder / "nginx.log",
        )
        wait_for(self._listens, "nginx to listen", timeout=20.0)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.stop()

    def _listens(self) -> bool:
        assert self._process is not None
        self._process.check()
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0
