"""What the REST API and the command line need of the centre's settings."""

from __future__ import annotations

from airflow.configuration import conf

from airflow_edge.rules.liveness import Patience, patience, read_graces
from airflow_edge.settings import SECTION


def read_patience() -> Patience:
    """Read from Airflow's configuration how long workers out of reach are waited for.

    :raises ValueError: a setting makes no sense; the message names it.
    """
    grace, queues = read_graces(lambda name: conf.get_mandatory_value(SECTION, name))
    interval = conf.getfloat(SECTION, "heartbeat_interval")
    return patience(heartbeat_interval=interval, disconnect_grace=grace, queue_disconnect_grace=queues)
