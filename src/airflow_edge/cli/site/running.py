"""What `airflow-edge check` says of the worker that runs here, and whether it goes by what is set here now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from airflow_edge import __version__
from airflow_edge.agent.config import Config
from airflow_edge.agent.errors import AgentError, NotRunningError
from airflow_edge.agent.process.control import ask
from airflow_edge.checking.findings import Finding, Mark, note, ok, wrong
from airflow_edge.settings import BY_NAME, SECTION, SETTINGS

_DEFAULTS: Final = {f"[{SECTION}] {setting.name}": setting.default_text or "" for setting in SETTINGS}
_GUARDS: Final = tuple(f"[{SECTION}] {name}" for name, setting in BY_NAME.items() if setting.guards)


@dataclass(frozen=True, slots=True)
class AtWork:
    """The worker of a state folder, as it says itself."""

    status: Mapping[str, Any] | None = None
    """None where there is none, or where it does not say."""
    error: str = ""
    """Why it does not say."""

    def goes_by(self, config: Config, setting: str) -> bool:
        """Whether what is set here is what the worker goes by, or would as it starts."""
        return all(f"[{SECTION}] {setting}" != option for option, _, _ in self.differences(config))

    def differences(self, config: Config) -> Iterator[tuple[str, str, str]]:
        """Give the options of which the worker has another value than is set here now: the option, its and this."""
        told: Mapping[str, str | None] = (self.status or {}).get("settings") or {}
        if self.status is None or "settings" not in self.status:
            return
        for option in sorted({*told, *config.told}):
            default = _DEFAULTS.get(option, "")
            of_worker, here = told.get(option, default), config.told.get(option, default)
            # What a command line says is for that command.
            if of_worker is not None and here is not None and of_worker != here:
                yield option, of_worker, here


def running(config: Config) -> AtWork:
    """Ask the worker of this state folder."""
    try:
        return AtWork(ask(config.control_socket, "status"))
    except NotRunningError:
        return AtWork()
    except AgentError as error:
        return AtWork(error=str(error))


def findings(config: Config, found: AtWork) -> Iterator[Finding]:
    """Say what the worker does, and what of the configuration it does not go by."""
    status = found.status
    if found.error:
        yield wrong(f"a worker seems to run in {config.state_dir}", found.error)
        return
    if status is None:
        yield ok(f"no worker runs in {config.state_dir} now")
        return
    about = f"the worker '{status['name']}' (pid {status['pid']}) runs in {config.state_dir}"
    if status["conditions"]:
        yield wrong(f"{about} and takes no tasks", "; ".join(status["conditions"]))
    else:
        yield ok(f"{about}, and is {status['link']['state']}")
    if status["version"] != __version__:
        yield note(f"it is airflow-edge {status['version']}, and {__version__} is installed here; {_restart(status)}")
    elif "settings" not in status:
        yield note(f"it does not say by which settings it goes; {_restart(status)}")
    for option, of_worker, here in found.differences(config):
        differs = f"{option} is {_shown(here)} here, and for the running worker it is {_shown(of_worker)}"
        yield wrong(differs, _restart(status)) if option in _GUARDS else note(f"{differs}; {_restart(status)}")


def not_yet(found: Iterator[Finding]) -> Iterator[Finding]:
    """Say the same of what the running worker does not go by: nothing of it is right yet."""
    for finding in found:
        again = f"once the worker is restarted: {finding.text}"
        yield replace(finding, mark=Mark.NOTE if finding.mark is Mark.OK else finding.mark, text=again)


def _restart(status: Mapping[str, Any]) -> str:
    # With two users its root part is another process, which only a new start replaces.
    two = (status.get("settings") or {}).get("[edge] agent_user")
    at_centre = "" if two else f", or `airflow edge restart-worker {status['name']}` at the centre"
    return f"restart it with what is meant: `systemctl restart airflow-edge`{at_centre}; its tasks go on"


def _shown(value: str) -> str:
    return f"'{value}'" if value else "not set"
