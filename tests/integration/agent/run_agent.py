"""The agent alone in a process, without the command line around it."""

from __future__ import annotations

import logging
import sys

from airflow_edge.agent.config import load
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.worker import run_worker

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        sys.exit(run_worker(load()))
    except AgentError as error:
        sys.stderr.write(f"airflow-edge: {error}\n")
        sys.exit(error.exit_status)
