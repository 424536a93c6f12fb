"""The store on any SQL database that Airflow runs on: everything behind the ports of `airflow_edge.rules.ports`."""

from __future__ import annotations

from airflow_edge.store.jobs.claims import Claims
from airflow_edge.store.jobs.execution_calls import CallBook
from airflow_edge.store.jobs.jobs import Jobs
from airflow_edge.store.jobs.tasks import Tasks
from airflow_edge.store.logs.handover import Handovers
from airflow_edge.store.logs.logs import LogShelf
from airflow_edge.store.logs.upkeep import LogUpkeep
from airflow_edge.store.overview import Overlook
from airflow_edge.store.transactions import SessionFactory, Transactions
from airflow_edge.store.workers.enrollment import EnrollmentDesk
from airflow_edge.store.workers.metrics import MetricBook
from airflow_edge.store.workers.nonces import NonceBook
from airflow_edge.store.workers.orders import OrderBook
from airflow_edge.store.workers.worker_logs import WorkerLogShelf
from airflow_edge.store.workers.workers import Workers


class SqlStore(
    Claims,
    Jobs,
    Tasks,
    Workers,
    OrderBook,
    MetricBook,
    Overlook,
    EnrollmentDesk,
    NonceBook,
    CallBook,
    LogShelf,
    LogUpkeep,
    WorkerLogShelf,
    Handovers,
):
    """All nouns of the store on one database; each call is one transaction and may be made from any thread.

    :param session_factory: makes a session of its own at each call, Airflow's `settings.NonScopedSession` for example
    """

    def __init__(self, session_factory: SessionFactory) -> None:
        super().__init__(Transactions(session_factory))
