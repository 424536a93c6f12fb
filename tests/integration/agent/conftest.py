from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from nacl.signing import SigningKey

from airflow_edge.agent.config import Config
from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.process.control import ask
from tests.integration.agent.centre import CENTRE_KEY, WORKER_ID, Centre
from tests.integration.agent.runtime import Runtime

REPOSITORY = Path(__file__).parents[3]
DAGS = Path(__file__).parents[1] / "runtime" / "dags"


class Agent:
    """The agent as a process of its own."""

    def __init__(self, config: Config, environment: dict[str, str]) -> None:
        self.config = config
        self.log = config.state_dir.parent / "agent.log"
        self.environment = environment
        self.arguments: tuple[str, ...] = ()
        """Of `run_agent`."""
        self.command: tuple[str, ...] = (sys.executable, "-m", "tests.integration.agent.run_agent")
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def was_started(self) -> bool:
        return self._process is not None

    async def start(self, **environment: str) -> None:
        """Start it in its own folder: that is by what its tasks are found afterwards, whoever is their parent then."""
        variables = self.environment | environment
        paths = [str(REPOSITORY), *filter(None, [variables.get("PYTHONPATH")])]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.command,
                *self.arguments,
                cwd=self.config.state_dir.parent,
                env=variables | {"PYTHONPATH": os.pathsep.join(paths)},
                stderr=log,
                stdout=log,
            )

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def ended(self, patience: float = 60.0) -> int:
        assert self._process is not None
        async with asyncio.timeout(patience):
            return await self._process.wait()

    async def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.signal(signal.SIGKILL)
        await self.ended()

    async def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = await asyncio.to_thread(ask, self.config.control_socket, "status")
        return answer


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return Config(state_dir=tmp_path / "state", concurrency=4)


@pytest.fixture
def key() -> str:
    return bytes(SigningKey.generate()).hex()


@pytest.fixture
async def centre(key: str) -> AsyncIterator[Centre]:
    public_key = bytes(SigningKey(bytes.fromhex(key)).verify_key).hex()
    centre = Centre(public_key)
    await centre.start()
    yield centre
    await centre.stop()


@pytest.fixture
def identity(key: str, config: Config, centre: Centre) -> Identity:
    identity = Identity(
        worker_id=WORKER_ID,
        name="site-1",
        api_url=centre.url,
        queues=("default",),
        private_key=key,
        centre_key=CENTRE_KEY,
    )
    identity.save(config.identity_file)
    return identity


@pytest.fixture
async def runtime(config: Config, identity: Identity) -> AsyncIterator[Runtime]:
    runtime = Runtime(config.runtime_socket)
    await runtime.start()
    yield runtime
    await runtime.stop()


@pytest.fixture
async def make_agent(config: Config, identity: Identity) -> AsyncIterator[Callable[[], Agent]]:
    agents: list[Agent] = []

    def make() -> Agent:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(config.state_dir.parent),
            "AIRFLOW__EDGE__STATE_DIR": str(config.state_dir),
            "AIRFLOW__EDGE__WORKER_CONCURRENCY": str(config.concurrency),
            "AIRFLOW__EDGE__TASK_STOP_GRACE": "1",
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        }
        agents.append(Agent(config, environment))
        return agents[-1]

    yield make
    for agent in agents:
        await agent.kill()
        sys.stderr.write(agent.log.read_text())


@pytest.fixture
async def agent(make_agent: Callable[[], Agent], runtime: Runtime, centre: Centre) -> Agent:
    """A linked agent."""
    agent = make_agent()
    await agent.start()
    await centre.until(lambda: any(status.state == "idle" for status in centre.statuses))
    return agent
