"""Where a state folder is: which machine, which boot of it, which folder. A copy of it is somewhere else."""

from __future__ import annotations

from pathlib import Path

import msgspec

from airflow_edge.agent.machine.facts import boot_id

_NO_ADDRESS = "00:00:00:00:00:00"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """What tells a place from another; what cannot be known is empty, and is never another."""

    machine_id: str = ""
    boot_id: str = ""
    hardware_addresses: tuple[str, ...] = ()
    """Of the network's interfaces."""
    folder: str = ""
    inode: int = 0
    """The folder's."""

    def may_be(self, other: Place) -> bool:
        """Say whether both may be one place at different times: after a restart, a reboot, or in another container.

        One fact alone says little: a machine's image has a machine id and inodes that all its copies share, a new
        container has other hardware addresses, and a restored backup another inode.
        """
        same_boot = _same(self.boot_id, other.boot_id)
        if same_boot and _same(self.inode, other.inode):
            return True
        if _differ(self.machine_id, other.machine_id):
            return False
        if _differ(set(self.hardware_addresses), set(other.hardware_addresses)) and not (
            set(self.hardware_addresses) & set(other.hardware_addresses)
        ):
            return False
        # On one machine and in one boot, two folders are two, unless one has taken the other's place.
        return not same_boot or not _differ(self.folder, other.folder)


def _same(one: object, other: object) -> bool:
    return bool(one) and one == other


def _differ(one: object, other: object) -> bool:
    return bool(one) and bool(other) and one != other


def look_around(folder: Path) -> Place:
    """Say where this folder is; what cannot be read is left out."""
    return Place(
        machine_id=_read(Path("/etc/machine-id")),
        boot_id=boot_id() or "",
        hardware_addresses=_hardware_addresses(),
        folder=str(folder),
        inode=_inode(folder),
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _hardware_addresses() -> tuple[str, ...]:
    """Give those of devices, where there are any: virtual interfaces come and go."""
    try:
        interfaces = sorted(Path("/sys/class/net").iterdir())
    except OSError:
        return ()
    devices = [one for one in interfaces if (one / "device").exists()] or interfaces
    found = {_read(one / "address") for one in devices}
    return tuple(sorted(found - {"", _NO_ADDRESS}))


def _inode(folder: Path) -> int:
    try:
        return folder.stat().st_ino
    except OSError:
        return 0
