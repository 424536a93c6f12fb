"""What it costs each task that a site has code of its own, which is loaded after the fork.

    python -m tools.measure_start [--runs N]

One small task after the other in a warm runtime: from the agent's order to the end of its supervisor. Once at a site
that has nothing of its own, once for each kind of thing that it may have, itself as small as can be. The fastest run is
the one that the rest of the machine has disturbed least.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests.integration.runtime.agent import AgentSide, RuntimeProcess
from tests.integration.runtime.conftest import site_environment
from tests.integration.runtime.execution_api import ExecutionApi

_PLUGIN = "from airflow.plugins_manager import AirflowPlugin\nclass P(AirflowPlugin):\n    name = 'small'\n"
_BACKEND = "from airflow.sdk.bases.xcom import BaseXCom\nclass X(BaseXCom): ...\n"

SITES: dict[str, tuple[dict[tuple[str, str], str], dict[str, str]]] = {
    "nothing of its own": ({}, {}),
    "a plugin": ({("plugins", "small"): _PLUGIN}, {}),
    "airflow_local_settings": ({("config", "airflow_local_settings"): ""}, {}),
    "a class for XComs": ({("config", "backend"): _BACKEND}, {"AIRFLOW__CORE__XCOM_BACKEND": "backend.X"}),
}
"""Modules in folders of AIRFLOW_HOME, and settings."""


def measure(site: str, runs: int) -> list[float]:
    """Run the task so often; give the seconds of each."""
    files, settings = SITES[site]

    def environment(folder: Path) -> dict[str, str]:
        home = folder / "home" / "airflow"
        for (place, module), content in files.items():
            (home / place).mkdir(parents=True)
            (home / place / f"{module}.py").write_text(content, encoding="ascii")
        return site_environment(folder) | settings | {"AIRFLOW_HOME": str(home)}

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        api = ExecutionApi(folder / "agent.sock")
        seconds = []
        with RuntimeProcess.start(folder / "site", Path(sys.executable), environment) as runtime:
            agent = AgentSide(runtime)
            api.run_id = agent.run_id
            for _ in range(runs):
                job = agent.task("succeed", api.path)
                began = time.perf_counter()
                assert agent.run(job).exit_code == 0
                seconds.append(time.perf_counter() - began)
            agent.close()
        api.close()
    return seconds


def main() -> None:
    """Print a line for each site."""
    parser = argparse.ArgumentParser(prog="python -m tools.measure_start", description=__doc__)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    for site in SITES:
        seconds = measure(site, runs)
        fastest, median = min(seconds) * 1000, statistics.median(seconds) * 1000
        print(f"{site:25} fastest {fastest:4.0f} ms, median {median:4.0f} ms")


if __name__ == "__main__":
    main()
