"""A proxy that answers in the centre's place: a load balancer, firewall, captive portal or cache, as sites have them.

It reads HTTP, so that it can answer any request itself: before it passes it on, after the centre has done what was
asked, or in the middle of the centre's answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from http import HTTPStatus
from types import TracebackType
from urllib.parse import urlsplit

_CHUNK = 64 * 1024
_LONGEST_HEAD = 256 * 1024
_WITHOUT_BODY = frozenset({HTTPStatus.SWITCHING_PROTOCOLS, HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED})


class Moment(Enum):
    """When it answers."""

    BEFORE = auto()
    """The centre never hears of the request."""
    AFTER = auto()
    """The centre has done what was asked, and nobody hears of its answer."""
    WITHIN = auto()
    """The first half of the centre's answer passes. Of a WebSocket: what comes first over it does not."""


@dataclass(frozen=True)
class Message:
    """A request or an answer. Header names are in lower case."""

    first_line: str
    headers: Mapping[str, str]
    body: bytes
    raw: bytes = field(repr=False)

    @property
    def method(self) -> str:
        return self.first_line.split(" ", 1)[0]

    @property
    def path(self) -> str:
        return self.first_line.split(" ", 2)[1]


@dataclass(frozen=True)
class Interference:
    """What is answered in the centre's place: these bytes."""

    moment: Moment
    said: bytes


Decision = Callable[[Message], Interference | None]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """An answer as HTTP; `Content_Type='text/html'` gives a header, `Content_Length=''` leaves that one out."""
    fields = {"Server": "middlebox", "Content_Length": str(len(body)), **headers}
    lines = [
        f"HTTP/1.1 {status} Whatever",
        *(f"{name.replace('_', '-')}: {text}" for name, text in fields.items() if text),
    ]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def page(status: int, title: str = "Welcome", **headers: str) -> bytes:
    """A page for people."""
    body = f"<html><head><title>{title}</title></head><body>hello</body></html>".encode()
    return answer(status, body, Content_Type="text/html", **headers)


def said_by_chance(dice: random.Random) -> bytes:
    """Whatever somebody on the way may say."""
    status = dice.randrange(200, 600)
    number = str(dice.randrange(100))
    documents: tuple[object, ...] = (
        {"message": "no Route matched with those values"},
        {"detail": {"reason": "not_found", "message": "not here"}},
        {"status": 403, "code": "revoked", "detail": "go away"},
        {"status": 503, "code": "not_ready", "detail": "later"},
        {"key": "x", "value": "not yours"},
        [],
        None,
    )
    return dice.choice(
        (
            lambda: page(status),
            lambda: page(200, "Sign in"),
            lambda: answer(204),
            lambda: answer(status),
            lambda: answer(status, json.dumps(dice.choice(documents)).encode(), Content_Type="application/json"),
            lambda: answer(dice.choice((301, 302, 303, 307, 308)), Location=dice.choice(LOCATIONS)),
            lambda: answer(
                429, b"slow down", Retry_After=dice.choice(("0", "1", "x", "Wed, 21 Oct 2015 07:28:00 GMT"))
            ),
            lambda: answer(status, b"\x1f\x8b" + dice.randbytes(40), Content_Encoding="gzip"),
            lambda: answer(status, b"<html>cut", Content_Length="1000"),
            lambda: answer(status, b"no end", Content_Length=""),
            lambda: answer(
                status,
                b"5\r\nhello\r\n" + dice.choice((b"0\r\n\r\n", b"zz\r\n", b"")),
                Content_Length="",
                Transfer_Encoding="chunked",
            ),
            lambda: answer(101, Upgrade="websocket", Connection="Upgrade", Content_Length=""),
            lambda: answer(status, X_Airflow_Edge_Mark=number),
            lambda: dice.choice(GARBAGE),
            lambda: dice.randbytes(dice.randrange(2000)),
        )
    )()


LOCATIONS = (
    "https://portal.example.org/login?from=here",
    "/elsewhere",
    "",
    "ws://[bad",
    "http://[::1",
    "gopher://x",
    "https://ä.example/\x85",
    "//",
    "http://user:secret@host/",
    "https://" + "x" * 300 + "/",
)
GARBAGE = (
    b"",
    b"\r\n\r\n",
    b"SSH-2.0-OpenSSH_9.2p1\r\n",
    b"HTTP/1.1 99999 Far\r\n\r\n",
    b"HTTP/1.1 200\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/2 200 OK\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nb\xc3\xa4d\xff: \x00\r\n\r\n",
    b"HTTP/1.1 302 F\r\nLocation: \xff\xfe\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: y\r\n" % number for number in range(5000)) + b"\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300_000 + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
    b"\x15\x03\x01\x00\x02\x02\x28",
)


class Middlebox:
    """Stands before one server, on a free loopback port; it passes everything on until it is told to interfere.

    It runs in a thread of its own; any thread may call it.
    """

    def __init__(self, upstream: str) -> None:
        """:param upstream: the server's URL; only host and port of it count"""
        parts = urlsplit(upstream)
        self._upstream = parts.hostname, parts.port
        self._decide: Decision = lambda request: None
        self._change: Callable[[bytes], bytes] | None = None
        self.interfered: list[str] = []
        """The first lines of the requests that it has answered."""
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="middlebox", daemon=True)

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"http://127.0.0.1:{self.port}"

    def interfere(self, decide: Decision) -> None:
        """Ask this of each request that comes from now on."""
        self._decide = decide

    def rewrite(self, change: Callable[[bytes], bytes]) -> None:
        """Pass on, of each answer that comes from now on, this in place of its body, and its length made to fit."""
        self._change = change

    def restore(self) -> None:
        """Pass everything on again."""
        self._decide = lambda request: None
        self._change = None

    def cut(self) -> None:
        """Close all connections."""
        asyncio.run_coroutine_threadsafe(self._cut(), self._loop).result()

    def __enter__(self) -> Middlebox:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._server.close)
        self.cut()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=_LONGEST_HEAD)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _cut(self) -> None:
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            upstream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
            while True:
                request = await _read(reader)
                interference = self._decide(request)
                if interference is not None:
                    self.interfered.append(request.first_line)
                    if interference.moment is Moment.BEFORE:
                        writer.write(interference.said)
                        return
                if upstream is None:
                    upstream = await asyncio.open_connection(*self._upstream, limit=_LONGEST_HEAD)
                    writers.append(upstream[1])
                upstream[1].write(request.raw)
                given = await _read(upstream[0], bodiless=request.method == "HEAD")
                if interference is not None:
                    # Half of a WebSocket's beginning would be nothing but a broken answer.
                    upgraded = " 101 " in given.first_line
                    half = given.raw if upgraded else given.raw[: len(given.raw) - max(1, (len(given.body) + 1) // 2)]
                    writer.write((half if interference.moment is Moment.WITHIN else b"") + interference.said)
                    return
                writer.write(given.raw if self._change is None else _with_body(given, self._change(given.body)))
                await writer.drain()
                if " 101 " in given.first_line:
                    await _relay((reader, writer), upstream)
                    return
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError):
            """One side has gone: so does the other."""
        finally:
            for each in writers:
                with contextlib.suppress(OSError):
                    each.close()


def _with_body(message: Message, body: bytes) -> bytes:
    head = message.raw[: len(message.raw) - len(message.body)]
    return re.sub(rb"(?i)(content-length: *)\d+", rb"\g<1>%d" % len(body), head) + body


async def _read(reader: asyncio.StreamReader, *, bodiless: bool = False) -> Message:
    raw = await reader.readuntil(b"\r\n\r\n")
    first_line, *lines = raw.decode("latin-1").rstrip("\r\n").split("\r\n")
    headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    status = first_line.split(" ", 2)[1]
    if bodiless or (first_line.startswith("HTTP/") and int(status) in _WITHOUT_BODY):
        return Message(first_line, headers, b"", raw)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(headers.get("content-length") or 0))
    return Message(first_line, headers, body, raw + body)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if not size:
            return body


async def _relay(
    client: tuple[asyncio.StreamReader, asyncio.StreamWriter], server: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
        writer.write_eof()

    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as pumps:
            pumps.create_task(pump(client[0], server[1]))
            pumps.create_task(pump(server[0], client[1]))
