"""Programs of a page that change the machine, done in a folder instead: users are nobody's, services are processes."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
from pathlib import Path

from harness.pages import blocks_of

SERVICE = "docs/how-to/run-as-a-service.md"

VENV = """\
if [ "$1 $2" = "-m venv" ]; then
  mkdir -p "$3/bin"
  ln -sf {venv}/bin/* "$3/bin/"
  ln -sf {bin}/pip "$3/bin/pip"
  exit 0
fi
exec {venv}/bin/python "$@"
"""
INSTALL = 'for last; do :; done; mkdir -p "$last" && chmod 700 "$last"'
RUNUSER = 'while [ "$1" != "--" ]; do shift; done; shift; exec "$@"'
SYSTEMCTL = """\
start() {{
  env {environment} setsid {command} >>{folder}/unit.log 2>&1 9>&- &
  for i in $(seq 600); do
    {program} status --state-dir {state} >/dev/null 2>&1 && return
    sleep 0.2
  done
  exit 1
}}
end() {{
  pid=$(cat {state}/agent.pid 2>/dev/null) || return 0
  kill -s "$1" "$pid" 2>/dev/null || return 0
  while kill -0 "$pid" 2>/dev/null; do sleep 0.1; done
}}
case "$1" in
  daemon-reload) ;;
  enable | start) start ;;
  restart) end {restart_signal}; start ;;
  disable | stop) end TERM ;;
  *) echo "the tests know no systemctl $1" >&2; exit 1 ;;
esac
"""
"""As systemd does it for the unit that the page has; it is back when the worker can be asked."""


def put(folder: Path, name: str, script: str) -> None:
    """Put a program on the PATH of the pages' shells."""
    program = folder / "bin" / name
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)


def put_all(folder: Path, venv: Path, values: dict[str, str]) -> None:
    """Put there what pages use; `values` are the places in the page, and those in their stead."""
    put(folder, "python3", VENV.format(venv=venv, bin=folder / "bin"))
    put(folder, "install", INSTALL)
    put(folder, "runuser", RUNUSER)
    # Of a registry nothing is fetched: `command_lines` has looked at what was asked for, which is installed.
    for name in ("pip", "useradd", "userdel", "chown", "docker"):
        put(folder, name, "exit 0")
    if shutil.which("systemd-analyze", path=f"{os.defpath}:/usr/bin") is None:
        put(folder, "systemd-analyze", "exit 0")
    unit, text = read_unit(values)
    (folder / "airflow-edge.service").write_text(text)
    environment = [line.split("=", 1)[1] for line in text.splitlines() if line.startswith("Environment=")]
    (state,) = (value.split("=", 1)[1] for value in environment if "STATE_DIR" in value)
    script = SYSTEMCTL.format(
        environment=shlex.join(environment),
        command=unit["ExecStart"],
        folder=folder,
        program=unit["ExecStart"].split()[0],
        state=state,
        restart_signal=unit["RestartKillSignal"].removeprefix("SIG"),
    )
    put(folder, "systemctl", script)


def read_unit(values: dict[str, str]) -> tuple[configparser.SectionProxy, str]:
    """Give what the unit file of the page says of its service, and its whole text."""
    text = next(block.text for block in blocks_of(SERVICE) if block.language == "systemd")
    for before, after in values.items():
        text = text.replace(before, after)
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names are case-sensitive
    unit.read_string(text)
    return unit["Service"], text
