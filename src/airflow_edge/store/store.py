"""The store, on any SQL database that Airflow runs on: one part for each noun."""

from __future__ import annotations

from airflow_edge.store.fleet.fleet import FleetViews
from airflow_edge.store.jobs.at_workers import JobsAtWorkers
from airflow_edge.store.jobs.authority import JobAuthority
from airflow_edge.store.jobs.claims import JobQueue
from airflow_edge.store.jobs.execution_calls import ExecutionCalls
from airflow_edge.store.jobs.jobs import Jobs
from airflow_edge.store.jobs.orphaned import OrphanedJobs
from airflow_edge.store.jobs.pauses import QueuePauses
from airflow_edge.store.jobs.refusals import JobRefusals
from airflow_edge.store.jobs.testing import WorkerTests
from airflow_edge.store.logs.handover import LogHandovers
from airflow_edge.store.logs.logs import TaskLogs
from airflow_edge.store.logs.upkeep import LogUpkeep
from airflow_edge.store.policy.uses import PolicyUses
from airflow_edge.store.policy.versions import PolicyVersions
from airflow_edge.store.processes import Processes
from airflow_edge.store.transactions import SessionFactory, Transactions
from airflow_edge.store.workers.attempts import EnrollAttempts
from airflow_edge.store.workers.centre_keys import CentreKeys
from airflow_edge.store.workers.enrollment import EnrollTokens
from airflow_edge.store.workers.events import WorkerEvents
from airflow_edge.store.workers.instances import Instances
from airflow_edge.store.workers.metrics import WorkerMetrics
from airflow_edge.store.workers.nonces import Nonces
from airflow_edge.store.workers.orders import WorkerOrders
from airflow_edge.store.workers.passed_requests import PassedRequests
from airflow_edge.store.workers.worker_logs import WorkerLogs
from airflow_edge.store.workers.workers import Workers


class Store:
    """Each call of a part is one transaction and may be made from any thread; all times are aware, in UTC."""

    def __init__(self, session_factory: SessionFactory) -> None:
        """Set it up; nothing is connected to before it is used.

        :param session_factory: makes a session of its own at each call, Airflow's `settings.NonScopedSession` for
            example
        """
        transactions = Transactions(session_factory)
        self.queue = JobQueue(transactions)
        self.queue_pauses = QueuePauses(transactions)
        self.jobs = Jobs(transactions)
        self.refusals = JobRefusals(transactions)
        self.job_authority = JobAuthority(transactions)
        self.jobs_at_workers = JobsAtWorkers(transactions)
        self.orphaned_jobs = OrphanedJobs(transactions)
        self.worker_tests = WorkerTests(transactions)
        self.calls = ExecutionCalls(transactions)
        self.workers = Workers(transactions)
        self.instances = Instances(transactions)
        self.events = WorkerEvents(transactions)
        self.enroll_tokens = EnrollTokens(transactions)
        self.enroll_attempts = EnrollAttempts(transactions)
        self.centre_keys = CentreKeys(transactions)
        self.orders = WorkerOrders(transactions)
        self.nonces = Nonces(transactions)
        self.passed_requests = PassedRequests(transactions)
        self.metrics = WorkerMetrics(transactions)
        self.worker_logs = WorkerLogs(transactions)
        self.logs = TaskLogs(transactions)
        self.log_upkeep = LogUpkeep(transactions)
        self.log_handovers = LogHandovers(transactions)
        self.fleet = FleetViews(transactions)
        self.processes = Processes(transactions)
        self.policies = PolicyVersions(transactions)
        self.policy_uses = PolicyUses(transactions)
