from __future__ import annotations

import subprocess
import sys


def test_the_definition_is_cheap_to_read() -> None:
    ours = [
        "",
        ".cli",
        ".cli.example",
        *(f".cli.centre{name}" for name in ("", ".definition", ".describing")),
    ]
    script = (
        "import sys; import airflow.cli.cli_config; before = set(sys.modules);"
        "from airflow_edge.cli.centre.definition import get_edge_commands; get_edge_commands();"
        f"ours = {{'airflow_edge' + rest for rest in {ours}}};"
        "print(sorted(set(sys.modules) - before - ours))"
    )
    assert subprocess.check_output([sys.executable, "-c", script], text=True).splitlines()[-1] == "[]"
