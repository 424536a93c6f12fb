"""How many bytes go over the wire for a task's log, over its size.

    python -m tools.measure_log_wire LOG…

`LOG` is a real task log of Airflow 3: JSON lines with timestamps. An agent ships each of them, written line by line at
the pace of its own timestamps, to a stand-in for the centre. Besides, the lines that the task itself has printed are
repeated to stand for tasks that say more. What is counted is every frame with a log's piece or end, with what WebSocket
and TLS 1.3 put around it; TCP and what the centre answers are not.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from uuid import uuid4

from airflow_edge.protocol.frames import SiteFrame, encode
from airflow_edge.protocol.messages import LogChunk, LogEnd
from tools.measure_agent import site

WEBSOCKET = 8
"""Bytes of a client's frame header for 126 bytes to 64 KiB, its mask among them."""
TLS = 22
"""Bytes that TLS 1.3 adds to a record."""
PATIENCE = 60.0

_AGENT = "import sys; from airflow_edge.cli.site.main import main; sys.exit(main(['worker']))"
_STAMP = re.compile(rb'"timestamp":"([^"]*)"')
_ID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

Line = tuple[float, bytes]
"""Seconds from the beginning, and the line."""


def read(path: Path) -> list[Line]:
    """Read a log; its ids are new ones."""
    ids: dict[bytes, bytes] = {}
    text = _ID.sub(lambda found: ids.setdefault(found[0], str(uuid4()).encode()), path.read_bytes())
    lines = text.splitlines(keepends=True)
    stamps = [_stamp(line) for line in lines]
    return [((stamp - min(stamps)).total_seconds(), line) for stamp, line in zip(stamps, lines, strict=True)]


def longer(lines: list[Line], *, count: int, rate: float) -> list[Line]:
    """Give the log of a task that says `count` lines more in its middle, so many a second."""
    own = next((i for i, (_, line) in enumerate(lines) if b'"logger":"task.stdout"' in line), len(lines) // 2)
    at, model = lines[own]
    began = _stamp(model)

    def more() -> Iterator[Line]:
        for number in range(count):
            stamp = (began + timedelta(seconds=number / rate)).isoformat(timespec="microseconds")
            line = _STAMP.sub(b'"timestamp":"%s"' % stamp.replace("+00:00", "Z").encode(), model)
            words = b"step %d of %d: %d rows read, %d rejected" % (number, count, hash((number, 1)) % 99991, number % 7)
            yield at + number / rate, re.sub(rb'"event":"[^"]*"', b'"event":"%s"' % words, line)

    rest = [(when + count / rate, line) for when, line in lines[own + 1 :]]
    return [*lines[: own + 1], *more(), *rest]


async def wire(lines: list[Line]) -> tuple[int, int, int]:
    """Let an agent ship it; give the log's size, the bytes on the wire, and the frames."""
    with tempfile.TemporaryDirectory(prefix="wire-") as name:
        folder = Path(name)
        async with site(folder) as (centre, runtime, environment):
            with (folder / "agent.log").open("wb") as log:
                agent = await asyncio.create_subprocess_exec(
                    sys.executable, "-c", _AGENT, env=environment, stdout=subprocess.DEVNULL, stderr=log
                )
            try:
                await centre.until(lambda: any(s.state == "idle" for s in centre.statuses), patience=PATIENCE)
                offer = await centre.offer()
                await runtime.started(offer.job_id)
                began = time.monotonic()
                for at, line in lines:
                    await asyncio.sleep(began + at - time.monotonic())
                    runtime.write_log(offer.job_id, line)
                runtime.exit(offer.job_id)
                end = await centre.until(lambda: centre.ends.get((offer.job_id, 1)), patience=PATIENCE)
            finally:
                agent.terminate()
                await agent.wait()
    said: list[LogChunk | LogEnd] = [*centre.chunks, end]
    frames = [len(encode(SiteFrame(1, 1, message))) + WEBSOCKET + TLS for message in said]
    return end.size, sum(frames), len(frames)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("logs", nargs="+", type=Path, metavar="LOG")
    arguments = parser.parse_args()
    print(f"{'log':28} {'lines':>6} {'bytes':>8} {'on the wire':>11} {'frames':>6}  ratio")
    for path in arguments.logs:
        lines = read(path)
        kinds = {
            f"{path.name}": lines,
            "  + 1,000 lines in 5 s": longer(lines, count=1_000, rate=200),
            "  + 200 lines in 20 s": longer(lines, count=200, rate=10),
            "  + 20 lines in 20 s": longer(lines, count=20, rate=1),
        }
        for kind, what in kinds.items():
            size, sent, frames = await wire(what)
            print(f"{kind:28} {len(what):6} {size:8} {sent:11} {frames:6}  {sent / size:.3f}")


def _stamp(line: bytes) -> datetime:
    found = _STAMP.search(line)
    if found is None:
        raise SystemExit(f"this line has no timestamp: {line!r}; give the JSON lines of a task of Airflow 3")
    return datetime.fromisoformat(found[1].decode())


if __name__ == "__main__":
    asyncio.run(main())
