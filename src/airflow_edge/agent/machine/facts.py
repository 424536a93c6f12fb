"""What a worker tells the centre about the machine it is on."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def boot_id() -> str | None:
    """Give an id that changes when the machine reboots; None where it cannot be read, which is not another boot."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return None


def load() -> float | None:
    """Give the load average of the last minute; None where that cannot be known now."""
    try:
        return round(os.getloadavg()[0], 2)
    except OSError:
        return None


def installed_airflow() -> str:
    """Give the installed Airflow's version without importing anything of it."""
    for folder in sys.path:
        for found in Path(folder).glob("apache_airflow_core-*.dist-info"):
            return found.name.removesuffix(".dist-info").partition("-")[2]
    return ""


def system() -> str:
    """Give the operating system's name and release, and the machine's kind."""
    facts = os.uname()
    return f"{facts.sysname} {facts.release} {facts.machine}"
