"""The agent alone in a process, without the command line around it."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from airflow_edge.agent.agent import run_agent
from airflow_edge.agent.config import load
from airflow_edge.agent.errors import AgentError
from airflow_edge.agent.link import link
from airflow_edge.agent.net.identity import make_private_folder
from airflow_edge.agent.own_log.file import RotatingFile

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("-q", "--queues")
    parser.add_argument("--refused-wait", type=float, default=link.REFUSED_WAIT, help="try so soon again")
    arguments = parser.parse_args()
    link.REFUSED_WAIT = arguments.refused_wait
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    if os.environ.get("VERBOSE"):
        logging.getLogger("airflow_edge").setLevel(logging.DEBUG)
    config = load(queues=arguments.queues)
    make_private_folder(config.state_dir)
    logging.getLogger().addHandler(
        RotatingFile(config.agent_log, max_size=config.worker_log_max_size, backups=config.worker_log_backups)
    )
    try:
        sys.exit(run_agent(config))
    except AgentError as error:
        sys.stderr.write(f"airflow-edge: {error}\n")
        sys.exit(error.exit_status)
