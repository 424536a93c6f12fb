"""The unit file in the documentation says what the worker understands."""

from __future__ import annotations

import configparser
import re
from pathlib import Path

from airflow_edge.admin.site_commands import UNIT
from airflow_edge.agent.errors import AgentError, UnreachableError
from airflow_edge.cli.site.main import EXIT_STATUSES, build_parser
from airflow_edge.settings import BY_NAME, environment_variable

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "run-as-a-service.md"


def test_the_unit_file_fits_the_worker() -> None:
    page = PAGE.read_text(encoding="utf-8")
    (text,) = re.findall(r"```systemd\n(.*?)```", page, re.DOTALL)
    assert text == UNIT, "what the page gives to copy is what the documentation explains"
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign] # systemd's names are case-sensitive
    unit.read_string(text)
    service = unit["Service"]

    command = service["ExecStart"].split()
    assert build_parser().parse_args(command[1:]).handler == "airflow_edge.cli.site.worker:work"
    assert (service["KillMode"], service["RestartKillSignal"]) == ("process", "SIGHUP")
    # After `airflow-edge stop` it stays away; after anything that a person need not mend it comes back.
    assert service["Restart"] == "on-failure"
    known = {int(line.split()[0]) for line in EXIT_STATUSES.splitlines() if line.startswith("  ")}
    assert {int(status) for status in service["RestartPreventExitStatus"].split()} <= known - {0, 1}

    # What may pass by itself is waited for.
    prevented = {int(status) for status in service["RestartPreventExitStatus"].split()}
    assert not prevented & {AgentError.exit_status, UnreachableError.exit_status}
    (state_dir,) = re.findall(r"AIRFLOW__EDGE__STATE_DIR=(\S+)$", text, re.MULTILINE)
    assert Path(state_dir).is_relative_to(unit["Unit"]["RequiresMountsFor"])

    ours = {environment_variable(name) for name in BY_NAME}
    assert set(re.findall(r"AIRFLOW__EDGE__\w+", page)) <= ours
