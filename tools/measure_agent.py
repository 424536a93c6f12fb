"""How much memory the agent takes, how soon it is linked, and whether it has loaded Airflow.

    python -m tools.measure_agent [--python PATH] [--runs N]

The agent is the installed command line, linked by TLS to a stand-in for the centre on this machine, with a stand-in for
the runtime beside it; the real runtime is a process of its own. Times are from the start of the process to the centre's
`Welcome`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import trustme
from nacl.signing import SigningKey

from airflow_edge.agent.net.identity import Identity
from airflow_edge.agent.process.sockets import socket_path
from tests.integration.agent.centre import CENTRE_KEY, WORKER_ID, Centre
from tests.integration.agent.runtime import Runtime

PATIENCE = 30.0

_AGENT = """
import gc, os, signal, sys

def tell(number, frame):
    gc.collect()
    with open(os.environ["REPORT"] + ".new", "w") as report:
        report.write(" ".join(sys.modules))
    os.replace(os.environ["REPORT"] + ".new", os.environ["REPORT"])

signal.signal(signal.SIGUSR1, tell)
from airflow_edge.cli.site.main import main
sys.exit(main(["worker"]))
"""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One start of an agent."""

    linked_after: float
    """Seconds from the start of its process to the centre's `Welcome`."""
    cpu: float
    """Seconds of processor time it took until then: what it would need on an idle machine."""
    rss: float
    """Resident memory in MB (10⁶ bytes) once it is linked and its garbage is collected."""
    pss: float
    """The same, with what it shares with other processes divided among them."""
    modules: frozenset[str]
    """What it has imported."""


@contextlib.asynccontextmanager
async def site(folder: Path) -> AsyncIterator[tuple[Centre, Runtime, dict[str, str]]]:
    """Give a centre, a runtime, and the environment of an agent that is enrolled there."""
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    trusted, chain, private = folder / "ca.pem", folder / "chain.pem", folder / "private.pem"
    authority.cert_pem.write_to_path(trusted)
    certificate.private_key_pem.write_to_path(private)
    chain.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))

    key = SigningKey.generate()
    centre = Centre(bytes(key.verify_key).hex(), tls=(chain, private))
    await centre.start()
    state = folder / "state"
    identity = Identity(
        worker_id=WORKER_ID,
        name="measured",
        api_url=centre.url,
        queues=("default",),
        private_key=bytes(key).hex(),
        centre_key=CENTRE_KEY,
    )
    identity.save(state / "worker.json")
    runtime = Runtime(socket_path(state, "runtime.sock"))
    await runtime.start()
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AIRFLOW__EDGE__STATE_DIR": str(state),
        "AIRFLOW__EDGE__CA_FILE": str(trusted),
        "REPORT": str(folder / "modules.txt"),
    }
    try:
        yield centre, runtime, environment
    finally:
        await runtime.stop()
        await centre.stop()


async def measure(python: str) -> Measured:
    """Start an agent, wait until it is linked and idle, and end it."""
    with tempfile.TemporaryDirectory(prefix="measure-") as name:
        folder = Path(name)
        async with site(folder) as (centre, _, environment):
            began = time.monotonic()
            with (folder / "agent.log").open("wb") as log:
                agent = await asyncio.create_subprocess_exec(
                    python, "-c", _AGENT, env=environment, stdout=subprocess.DEVNULL, stderr=log
                )
            try:
                await centre.until(lambda: centre.hellos, patience=PATIENCE)
                linked_after = time.monotonic() - began
                cpu = _cpu(agent.pid)
                await centre.until(lambda: any(s.state == "idle" for s in centre.statuses), patience=PATIENCE)
                modules = await _modules(agent.pid, folder / "modules.txt", centre)
                rss, pss = _memory(agent.pid)
            except TimeoutError as error:
                raise SystemExit((folder / "agent.log").read_text()) from error
            finally:
                agent.send_signal(signal.SIGTERM)
                await agent.wait()
    return Measured(linked_after=linked_after, cpu=cpu, rss=rss, pss=pss, modules=modules)


async def _modules(pid: int, report: Path, centre: Centre) -> frozenset[str]:
    os.kill(pid, signal.SIGUSR1)
    await centre.until(report.exists, patience=PATIENCE)
    return frozenset(report.read_text().split())  # noqa: ASYNC240 - it is there, and small


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(pid: int) -> tuple[float, float]:
    fields = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines() if ":" in line
    )
    rss, pss = (int(fields[name].split()[0]) * 1024 / 1e6 for name in ("Rss", "Pss"))
    return rss, pss


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--python", default=sys.executable, help="whose agent (default: this environment's)")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    # The first one compiles, and warms the disk's cache.
    await measure(arguments.python)
    runs = [await measure(arguments.python) for _ in range(arguments.runs)]
    airflow = sorted(name for name in runs[0].modules if name.partition(".")[0] == "airflow")
    linked = [run.linked_after * 1000 for run in runs]
    cpu = statistics.median(run.cpu * 1000 for run in runs)
    print(f"linked after    {statistics.median(linked):6.0f} ms (median of {len(runs)}; slowest {max(linked):.0f} ms)")
    print(f"                {cpu:6.0f} ms of processor time (median)")
    print(f"resident memory {max(run.rss for run in runs):6.1f} MB (largest)")
    print(f"without shared  {max(run.pss for run in runs):6.1f} MB (largest)")
    print(f"modules         {len(runs[0].modules):6d}, of Airflow: {', '.join(airflow) or 'none'}")


if __name__ == "__main__":
    asyncio.run(main())
