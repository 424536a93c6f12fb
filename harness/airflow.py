"""A whole Airflow deployment in a folder, configured by environment variables alone."""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

import httpx

from harness.client import NO_CAS, Client
from harness.database import Database, Databases
from harness.ports import free_port
from harness.processes import Process, kill_processes, processes_in, run, stop_together
from harness.templates import migrated

Config = Mapping[str, Mapping[str, object]]

BOOT_TIMEOUT = 300.0
"""Seconds a component may take to come up; it takes five on an idle machine, and tests run on busy ones."""

STOP_TIMEOUT = 5.0
"""Seconds a component may take to end in order. Airflow's own often do not: a scheduler waits for its executor."""

JWT_ISSUER = "harness"

EDGE_EXECUTOR = "airflow_edge.executor.EdgeExecutor"

EDGE_CONFIG: Config = {
    "edge": {"api_enabled": True},
    "logging": {"logging_config_class": "airflow_edge.logs.LOGGING_CONFIG"},
}
"""What a centre sets, besides the executor, to have edge workers."""

_ADMIN = "admin"


class Airflow:
    """One deployment: its home folder, its database, and the components started so far.

    `url` is the first API server's address and the deployment's `[api] base_url`.
    """

    def __init__(
        self,
        folder: Path,
        database: Database,
        *,
        venv: Path,
        dags: Path,
        executor: str = "LocalExecutor",
        config: Config | None = None,
        environment: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> None:
        """Lay the deployment out in `folder`. `config` is {section: {key: value}}, over the harness's own settings.

        :param users: who may log in besides the administrator, with the same password: the role of each name
        """
        self.folder = folder
        self.database = database
        self.venv = venv
        self.url = f"http://127.0.0.1:{free_port()}"
        self.users = {_ADMIN: "admin", **(users or {})}
        self.urls: list[str] = []
        self.jwt_secret = secrets.token_urlsafe(48)
        self.fernet_key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()
        self.password = secrets.token_urlsafe(16)
        self.components: list[Process] = []
        self._jobs_seen: set[int] = set()
        self._env = self._environment(dags, executor, config or {}) | dict(environment or {})
        for name in ("", "processes", "plugins"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        # Without it every component writes one of its own at once, and reads what another is half-way through.
        (folder / "airflow.cfg").touch()
        (folder / "passwords.json").write_text(json.dumps(dict.fromkeys(self.users, self.password)))

    def __enter__(self) -> Airflow:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    def migrate(self) -> None:
        """Create or upgrade all tables, Airflow's and every provider's."""
        self.cli("db", "migrate")

    def cli(self, *words: str, timeout: float = 120.0) -> str:
        """Run `airflow …` at the centre and return its stdout."""
        return run([self.venv / "bin" / "airflow", *words], env=self._env, cwd=self.folder, timeout=timeout)

    def python(self, script: str) -> str:
        """Run a Python script at the centre, with all it knows, and return its stdout."""
        return run([self.venv / "bin" / "python", "-c", script], env=self._env, cwd=self.folder)

    def boot(
        self,
        *,
        schedulers: int = 1,
        api_servers: int = 1,
        api_workers: int = 1,
        dag_processor: bool = True,
        triggerer: bool = True,
    ) -> float:
        """Start everything at once and wait until all of it is up; returns how many seconds that took."""
        began = time.monotonic()
        servers = [self._spawn_api_server(api_workers) for _ in range(api_servers)]
        jobs = [("SchedulerJob", self._spawn("scheduler", "--skip-serve-logs")) for _ in range(schedulers)]
        if dag_processor:
            jobs.append(("DagProcessorJob", self._spawn("dag-processor")))
        if triggerer:
            jobs.append(("TriggererJob", self._spawn("triggerer", "--skip-serve-logs")))
        for server, url in servers:
            server.wait_ready(partial(_is_healthy, url), timeout=BOOT_TIMEOUT)
        for job_type, process in jobs:
            process.wait_ready(partial(self._claim_job, job_type), timeout=BOOT_TIMEOUT)
        return time.monotonic() - began

    def start_scheduler(self) -> Process:
        """Start one more scheduler and wait until it schedules."""
        process = self._spawn("scheduler", "--skip-serve-logs")
        process.wait_ready(partial(self._claim_job, "SchedulerJob"), timeout=BOOT_TIMEOUT)
        return process

    def start_api_server(self, *, workers: int = 1, url: str | None = None) -> Process:
        """Start one more API server and wait until it answers: at a new address, or at `url`.

        :param url: that of one which has just ended, or another one: if it has a path, all pages are below that
        """
        process, address = self._spawn_api_server(workers, url)
        process.wait_ready(partial(_is_healthy, address), timeout=BOOT_TIMEOUT)
        return process

    def stop(self) -> None:
        """Stop every component, and whatever they left behind."""
        stop_together(self.components, timeout=STOP_TIMEOUT)
        self.components.clear()
        kill_processes(processes_in(self.folder))

    def check(self) -> None:
        """Raise `ProcessFailedError` if a component has ended by itself."""
        for process in self.components:
            process.check()

    def client(self, url: str | None = None) -> Client:
        """A client of the public REST API, as an administrator."""
        return Client(url or self.url, username=_ADMIN, password=self.password)

    @property
    def env(self) -> dict[str, str]:
        """The environment of a shell at the centre."""
        return dict(self._env)

    @property
    def login(self) -> tuple[str, str]:
        """Name and password of the administrator."""
        return _ADMIN, self.password

    def enroll_token(self, *, queues: Sequence[str] = ("default",), uses: int = 1) -> str:
        """A fresh token with which a site can enrol a worker for these queues.

        The API server makes it: `airflow edge` would be one more process that imports Airflow for seconds.
        """
        with self.client() as client:
            wish = {"queues": list(queues), "uses": uses}
            token: str = client.post("/edge_worker/api/enroll-tokens", wish)["token"]
        return token

    def _spawn_api_server(self, workers: int, url: str | None = None) -> tuple[Process, str]:
        if url is None:
            url = self.url if not self.urls else f"http://127.0.0.1:{free_port()}"
            self.urls.append(url)
        address = httpx.URL(url)
        words = ("api-server", "--host", "127.0.0.1", "--port", str(address.port), "--workers", str(workers))
        # Airflow goes by the path of its own address only.
        own = {"AIRFLOW__API__BASE_URL": url} if address.path != "/" else {}
        return self._spawn(*words, **own), url

    def _spawn(self, *words: str, **environment: str) -> Process:
        name = f"{words[0]}-{1 + sum(process.name.startswith(words[0]) for process in self.components)}"
        process = Process(
            name,
            [self.venv / "bin" / "airflow", *words],
            env=self._env | environment,
            cwd=self.folder,
            log=self.folder / "processes" / f"{name}.log",
        )
        self.components.append(process)
        return process

    def _claim_job(self, job_type: str) -> bool:
        """Whether a component of this type has registered that no earlier call was answered with."""
        for row in self.database.rows("SELECT id FROM job WHERE job_type = :type", type=job_type):
            if row["id"] not in self._jobs_seen:
                self._jobs_seen.add(row["id"])
                return True
        return False

    def _environment(self, dags: Path, executor: str, config: Config) -> dict[str, str]:
        settings: dict[str, dict[str, object]] = {
            "core": {
                "executor": executor,
                "dags_folder": dags,
                "plugins_folder": self.folder / "plugins",
                "load_examples": False,
                "dags_are_paused_at_creation": False,
                "fernet_key": self.fernet_key,
                "execution_api_server_url": f"{self.url}/execution/",
                "simple_auth_manager_users": ",".join(f"{name}:{role}" for name, role in self.users.items()),
                "simple_auth_manager_passwords_file": self.folder / "passwords.json",
                "parallelism": 8,
                "max_active_tasks_per_dag": 64,
            },
            "database": {"sql_alchemy_conn": self.database.url},
            "api": {"base_url": self.url, "secret_key": secrets.token_urlsafe(24)},
            "api_auth": {"jwt_secret": self.jwt_secret, "jwt_issuer": JWT_ISSUER},
            "logging": {"base_log_folder": self.folder / "logs", "colored_console_log": False},
            "scheduler": {"scheduler_idle_sleep_time": 0.2, "max_tis_per_query": 64},
            # Every file is parsed once: nobody edits Dags here, and parsing again would only make the machine busy.
            "dag_processor": {"min_file_process_interval": 3600, "parsing_processes": 2},
            # The first call to a fresh API server takes most of the default 5 s on a small machine.
            "workers": {"execution_api_timeout": 30},
        }
        for section, options in config.items():
            settings.setdefault(section, {}).update(options)
        env = {
            "PATH": f"{self.venv / 'bin'}{os.pathsep}{os.defpath}",
            "HOME": str(self.folder),
            "LANG": "C.UTF-8",
            "AIRFLOW_HOME": str(self.folder),
        }
        for section, options in settings.items():
            for key, value in options.items():
                env[f"AIRFLOW__{section.upper()}__{key.upper()}"] = str(value)
        return env


class MigratedDatabases:
    """Databases with all of a venv's tables in them: migrated once in a run of the tests, then copied."""

    def __init__(self, databases: Databases, folder: Path, *, venv: Path, config: Config | None = None) -> None:
        self.kind = databases.kind
        self.venv = venv
        self._databases = databases
        self._folder = folder
        self._config = config
        self._template: Database | None = None

    def create(self, name: str) -> Database:
        """A new database called `name`, ready for a deployment."""
        if self._template is None:
            name_of_template = f"template_{secrets.token_hex(4)}"
            self._template = migrated(self._databases, name_of_template, (self.venv, self._config), self._migrate)
        return self._databases.create(name, like=self._template)

    def _migrate(self, database: Database) -> None:
        folder = self._folder / "template"
        Airflow(folder, database, venv=self.venv, dags=self._folder, config=self._config).migrate()


def _is_healthy(url: str) -> bool:
    try:
        answer = httpx.get(f"{url}/api/v2/monitor/health", timeout=10, trust_env=False, verify=NO_CAS)
        return answer.is_success and bool(answer.json()["metadatabase"]["status"] == "healthy")
    except (httpx.TransportError, ValueError):
        return False
