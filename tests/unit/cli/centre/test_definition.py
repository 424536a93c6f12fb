from __future__ import annotations

import subprocess
import sys

from airflow_edge.cli.centre.key_commands import TOKEN_COMMANDS
from airflow_edge.rules.worker import DEFAULT_MAX_SLOTS


def test_the_definition_is_cheap_to_read() -> None:
    ours = [
        "",
        ".cli",
        ".cli.example",
        *(f".cli.centre{name}" for name in ("", ".definition", ".describing", ".key_commands", ".policy_commands")),
    ]
    script = (
        "import sys; import airflow.cli.cli_config; before = set(sys.modules);"
        "from airflow_edge.cli.centre.definition import get_edge_commands; get_edge_commands();"
        f"ours = {{'airflow_edge' + rest for rest in {ours}}};"
        "print(sorted(set(sys.modules) - before - ours))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()[-1] == "[]"


def test_the_cap_of_slots_is_what_the_help_says() -> None:
    (create,) = [one for one in TOKEN_COMMANDS if one.name == "create"]
    (slots,) = [argument for argument in create.args if "--max-slots" in argument.flags]
    assert slots.kwargs["help"].endswith(f"Default: {DEFAULT_MAX_SLOTS}")
