from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from urllib.parse import parse_qsl
from uuid import UUID

import pytest
from starlette.responses import Response

from airflow_edge.gateway.access.policy import REASON, Denial, PolicyGate
from airflow_edge.gateway.access.policy_in_force import PolicyInForce
from airflow_edge.gateway.database.calls import StoreUnavailableError
from airflow_edge.rules.policy.document import PolicyError, read_document
from airflow_edge.rules.policy.grants import Need, Who
from airflow_edge.rules.policy.policy import Policy

JOB = UUID(int=7)
WHO = Who(team_name=None, queue="plc", worker="press-7", dag_id="press", run_id="r1", task_id="write")
OWN = [
    ("PUT", f"/task-instances/{JOB}/heartbeat"),
    ("PATCH", f"/task-instances/{JOB}/run"),
    ("PATCH", f"/task-instances/{JOB}/state"),
    ("PUT", f"/task-instances/{JOB}/rtif"),
    ("POST", "/xcoms/press/r1/write/return_value"),
    ("GET", f"/store/ti/{JOB}/key"),
]


class Source:
    def __init__(self, policy: Policy | None) -> None:
        self.policy = policy
        self.error: Exception | None = None

    async def look(self) -> Policy | None:
        if self.error is not None:
            raise self.error
        return self.policy


class Upstream:
    def __init__(self) -> None:
        self.before: Collection[str] | None = {"read"}
        self.asked: list[UUID] = []

    async def of(self, task_instance_id: UUID) -> Collection[str] | None:
        self.asked.append(task_instance_id)
        return self.before


class StoredNames:
    """Has something else for some names."""

    def __init__(self) -> None:
        self.stored: dict[str, str] = {}

    async def others(self, needs: Collection[Need]) -> list[Need]:
        return [replace(need, name=self.stored[need.name]) for need in needs if need.name in self.stored]


class Uses:
    def __init__(self) -> None:
        self.noted: list[tuple[str, str, bool]] = []
        self.refused: list[str] = []

    def note(self, who: Who, kind: str, name: str, *, granted: bool, enforced: bool) -> None:
        assert who.dag_id == "press"
        self.refused += [name] * (enforced and not granted)
        self.noted.append((kind, name, granted))


class World:
    """A gate, and what stands around it."""

    def __init__(self, mode: str, *rules: dict[str, object]) -> None:
        self.source = Source(Policy(read_document({"modes": {"plc": mode}, "rules": rules}), "version 3"))
        self.upstream, self.uses = Upstream(), Uses()
        self.stored_names = StoredNames()
        self.gate = PolicyGate(
            PolicyInForce(self.source),
            self.upstream,  # type: ignore[arg-type]
            self.uses,  # type: ignore[arg-type]
            self.stored_names,  # type: ignore[arg-type]
        )

    async def check(self, method: str, target: str, who: Who = WHO) -> Denial | None:
        path, _, query = target.partition("?")
        return await self.gate.check(who, JOB, method, path, query)


@pytest.mark.parametrize(("mode", "denied", "noted"), [("off", False, 0), ("report", False, 1), ("enforce", True, 1)])
async def test_what_no_rule_grants_by_mode(mode, denied, noted) -> None:
    world = World(mode, {"may": {"connections": ["db"]}})
    found = await world.check("GET", "/connections/other")
    assert (found is not None, len(world.uses.noted)) == (denied, noted)
    assert await world.check("GET", "/connections/db") is None
    assert world.uses.noted == ([("connections", "other", False), ("connections", "db", True)] if noted else [])
    assert world.uses.refused == (["other"] if denied else [])


async def test_a_denial_is_answered_as_airflow_itself_refuses() -> None:
    found = await World("enforce").check("GET", "/connections/db")
    assert found is not None
    assert (found.kind, found.name) == ("connections", "db")
    answer = found.answer()
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/json")
    assert json.loads(bytes(answer.body)) == {"detail": {"reason": REASON, "message": found.sentence}}
    assert "Task press.write on queue plc may not read connection 'db'" in found.sentence
    assert "version 3" in found.sentence


@pytest.mark.parametrize(("method", "path"), OWN)
async def test_what_is_about_the_task_itself_never_meets_it(method, path) -> None:
    world = World("enforce")
    assert await world.check(method, path) is None
    world.source.error = PolicyError("broken")
    assert await world.check(method, path) is None
    broken = World("enforce")
    broken.source.error = StoreUnavailableError("away")
    assert await broken.check(method, path) is None
    assert world.uses.noted == []


async def test_a_route_that_nobody_knows() -> None:
    enforced, reported = World("enforce", {"may": {"connections": ["*"]}}), World("report")
    found = await enforced.check("GET", "/secrets/of/all")
    assert found is not None
    assert (found.kind, found.name) == ("route", "GET /secrets")
    assert await reported.check("DELETE", "/connections/db") is None
    assert reported.uses.noted == [("route", "DELETE /connections", False)]


@pytest.mark.parametrize(
    ("target", "granted"),
    [
        ("/xcoms/press/r1/read/key", True),
        ("/xcoms/press/r1/beside/key", False),
        ("/xcoms/press/r0/read/key", False),
        ("/xcoms/press/r1/read/key?include_prior_dates=true", False),
        ("/xcoms/pump/r1/read/key", False),
    ],
)
async def test_what_is_upstream(target, granted) -> None:
    world = World("enforce", {"may": {"xcoms": ["@upstream"]}})
    assert (await world.check("GET", target) is None) is granted


async def test_where_it_is_not_known_what_is_upstream_that_grants_nothing_and_is_said() -> None:
    world = World("enforce", {"may": {"xcoms": ["@upstream"]}})
    world.upstream.before = None
    found = await world.check("GET", "/xcoms/press/r1/read/key")
    assert found is not None
    assert "@upstream grants nothing" in found.sentence
    other = await world.check("GET", "/xcoms/pump/r1/read/key")
    assert other is not None
    assert "@upstream" not in other.sentence
    run = World("enforce", {"may": {"xcoms": ["@run"]}})
    run.upstream.before = None
    assert await run.check("GET", "/xcoms/press/r1/read/key") is None


async def test_what_is_noted_is_the_narrowest_that_would_do() -> None:
    world = World("report")
    for target in (
        "/xcoms/press/r1/read/k",
        "/xcoms/press/r1/beside/k",
        "/xcoms/press/r0/read/k",
        "/xcoms/pump/r1/read/k",
    ):
        await world.check("GET", target)
    assert [name for _, name, _ in world.uses.noted] == ["@upstream", "@run", "@dag", "pump"]


async def test_nobody_is_asked_what_is_upstream_where_that_does_not_matter() -> None:
    world = World("enforce", {"may": {"xcoms": ["*"], "connections": ["*"]}})
    for target in ("/connections/db", "/xcoms/pump/r1/read/k", "/xcoms/press/r0/read/k", "/xcoms/press/r1/write/k"):
        assert await world.check("GET", target) is None
    assert world.upstream.asked == []


async def test_a_call_that_needs_several_grants_needs_all() -> None:
    world = World("enforce", {"may": {"states": ["a"]}})
    found = await world.check("GET", "/dag-runs/count?dag_id=a&dag_id=b")
    assert found is not None
    assert found.name == "b"
    assert world.uses.noted == [("states", "a", True), ("states", "b", False)]


async def test_a_policy_that_is_not_known_yet_is_looked_for() -> None:
    world = World("enforce")
    world.source.error = StoreUnavailableError("away")
    with pytest.raises(StoreUnavailableError):
        await world.check("GET", "/connections/db")
    world.source.error = None
    assert await world.check("GET", "/connections/db") is not None


class Variables:
    """What Airflow answers to the call that lists them."""

    def __init__(self, *keys: str, body: bytes | None = None) -> None:
        self.keys, self.body = sorted(keys), body
        self.most = 10_000

    async def ask(self, query: str) -> Response:
        asked = dict(parse_qsl(query))
        found = [key for key in self.keys if key.startswith(asked.get("prefix", ""))]
        begin = int(asked.get("offset", "0"))
        page = found[begin : begin + min(int(asked.get("limit", "1000")), self.most)]
        body = json.dumps({"keys": page, "total_entries": len(found)}).encode() if self.body is None else self.body
        return Response(body, 200, {"content-type": "application/json", "correlation-id": "c-1"})


async def listing(world: World, variables: Variables, query: str = "") -> Response | Denial:
    assert await world.check("GET", f"/variables/keys?{query}") is None
    return await world.gate.listing(WHO, "GET", "/variables/keys", query, variables.ask)


async def listed(world: World, variables: Variables, query: str = "") -> tuple[list[str], int]:
    answer = await listing(world, variables, query)
    assert isinstance(answer, Response)
    assert (answer.status_code, answer.headers["correlation-id"]) == (200, "c-1")
    found = json.loads(bytes(answer.body))
    return found["keys"], found["total_entries"]


DB: dict[str, object] = {"may": {"variables": ["d*"]}}


async def test_a_listing_is_without_what_the_task_may_not_see() -> None:
    variables = Variables("db", "other")
    assert await listed(World("enforce", DB), variables) == (["db"], 1)
    assert await listed(World("report", DB), variables) == (["db", "other"], 2)
    assert await listed(World("off", DB), variables) == (["db", "other"], 2)


@pytest.mark.attack(24)
async def test_a_listing_is_the_same_whatever_there_is_that_the_task_may_not_see() -> None:
    """How many begin with some letters, and at which place a name stands, would spell out the others' names."""
    few, many = Variables("d1", "d2", "d3"), Variables("a", "d1", "d10", "d2", "d3", "secret_key", "z")
    few.most = many.most = 2
    world = World("enforce", {"may": {"variables": ["d1", "d2", "d3"]}})
    for query in ("", "prefix=s", "prefix=secret_", "prefix=d", "limit=1&offset=1", "offset=2", "prefix=d&limit=2"):
        assert await listed(world, many, query) == await listed(world, few, query)
    assert await listed(world, many, "limit=2") == (["d1", "d2"], 3)
    assert await listed(world, many, "limit=2&offset=2") == (["d3"], 3)
    assert await listed(world, many, "prefix=d1") == (["d1"], 1)


async def test_what_airflow_refuses_to_list_is_refused_in_its_words() -> None:
    async def refused(_: str) -> Response:
        return Response(b"no", 422)

    answer = await World("enforce", DB).gate.listing(WHO, "GET", "/variables/keys", "limit=x", refused)
    assert isinstance(answer, Response)
    assert (answer.status_code, bytes(answer.body)) == (422, b"no")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"keys": ["a"]}',
        b'{"keys": [1], "total_entries": 1}',
        b'{"key": "keys", "value": "secret"}',
        b"\xff",
    ],
)
async def test_a_listing_that_is_not_understood_is_denied(body) -> None:
    variables = Variables(body=body)
    assert isinstance(await listing(World("enforce", {"may": {"variables": ["*"]}}), variables), Denial)
    answer = await listing(World("report"), variables)
    assert isinstance(answer, Response)
    assert bytes(answer.body) == body


async def test_other_queues_are_not_asked() -> None:
    world = World("enforce")
    assert await world.check("GET", "/connections/db", replace(WHO, queue="lab")) is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/connections/DB_X"),
        ("GET", "/variables/DB_X"),
        ("PUT", "/variables/DB_X"),
        ("DELETE", "/variables/DB_X"),
    ],
)
async def test_what_is_stored_under_another_name_needs_a_grant_for_that_name(method, path) -> None:
    grants = {"connections": ["[A-Z]*"], "variables": ["[A-Z]*"], "set_variables": ["[A-Z]*"]}
    world = World("enforce", {"may": grants})
    assert await world.check(method, path) is None
    world.stored_names.stored = {"DB_X": "db_x"}
    denied = await world.check(method, path)
    assert denied is not None
    assert denied.name == "db_x"
