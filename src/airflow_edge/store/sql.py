"""The store on any SQL database that Airflow runs on: everything behind the ports of `airflow_edge.dispatch.ports`."""

from __future__ import annotations

from airflow_edge.store.calls import CallBook
from airflow_edge.store.claims import Claims
from airflow_edge.store.enrollment import EnrollmentDesk
from airflow_edge.store.handover import Handovers
from airflow_edge.store.jobs import Jobs
from airflow_edge.store.log_upkeep import LogUpkeep
from airflow_edge.store.logs import LogShelf
from airflow_edge.store.metrics import MetricBook
from airflow_edge.store.nonces import NonceBook
from airflow_edge.store.orders import OrderBook
from airflow_edge.store.overview import Overlook
from airflow_edge.store.tasks import Tasks
from airflow_edge.store.transactions import SessionFactory, Transactions
from airflow_edge.store.worker_logs import WorkerLogShelf
from airflow_edge.store.workers import Workers


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
