from __future__ import annotations

import json
import logging
import threading
from pathlib import Path

import pytest

from airflow_edge.agent.site_secrets import secrets
from airflow_edge.agent.site_secrets.files import SourceAwayError, UnusableSecretError
from airflow_edge.agent.site_secrets.reader import SecretsReader
from airflow_edge.agent.site_secrets.secrets import Decision, Given, SiteSecrets, Withheld
from airflow_edge.protocol.local import SecretAsked

ALLOW = """
[[allow]]
connections = ["plc_*"]
variables = ["site_*"]
dags = ["press_*"]
"""


class Airflow(SecretsReader):
    """What Airflow would say; `has` is the backend's, by name."""

    def __init__(self) -> None:
        super().__init__()
        self.has: dict[str, str] = {}
        self.error: Exception | None = None
        self.asked: list[str] = []

    async def ask(self, asked: SecretAsked) -> str | None:
        self.asked.append(asked.name)
        if self.error is not None:
            raise self.error
        return self.has.get(asked.name) if asked.backend else json.dumps({"parsed": asked.text})


class Place:
    """A site with a folder of secrets."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o700)
        self.folder = folder
        self.rules = folder / "secrets.toml"
        self.airflow = Airflow()
        for kind in ("connections", "variables"):
            (folder / kind).mkdir(mode=0o700)
        self.put("connections/plc_db", "uri")
        self.put("connections/other", "uri")
        self.put("variables/site_name", "Hall 7")
        self.say(f'[source]\nfolder = "{folder}"\n{ALLOW}')
        self.secrets = SiteSecrets(self.rules, self.airflow)

    def put(self, name: str, text: str, mode: int = 0o600) -> None:
        (self.folder / name).write_text(text)
        (self.folder / name).chmod(mode)

    def say(self, rules: str) -> None:
        self.rules.write_text(rules)
        self.rules.chmod(0o600)

    async def ask(self, name: str = "plc_db", dag: str = "press_check", **options: bool) -> Decision:
        return await self.secrets.ask("connection", name, dag, **options)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def withheld(decision: Decision, words: str, *, passing: bool) -> None:
    assert isinstance(decision, Withheld)
    assert words in f"{decision.sentence} ({decision.why})"
    # It is in the task's log, which the centre gets: whom the owner trusts with what is none of its business.
    for own in ("/", "press_", "Backend", "CREDENTIALS"):
        assert own not in decision.sentence.replace("the Dag press_check", "")
    assert decision.passing is passing


async def test_a_dag_gets_what_the_rules_let_it_have_as_it_is_now(place: Place) -> None:
    assert await place.ask() == Given(b'{"parsed": "uri"}')
    place.put("connections/plc_db", "renewed")
    assert await place.ask() == Given(b'{"parsed": "renewed"}')
    variable = await place.secrets.ask("variable", "site_name", "press_check")
    assert variable == Given(b'{"key":"site_name","value":"Hall 7"}')
    assert "Hall" not in repr(variable)
    assert place.secrets.condition == ""


async def test_what_the_site_has_not_is_the_centres(place: Place) -> None:
    assert await place.ask("centre_db") is None
    assert await place.ask("../secrets.toml") is None
    assert await place.secrets.ask("variable", "plc_db", "press_check") is None
    assert await SiteSecrets(None).ask("connection", "plc_db", "press_check") is None


async def test_what_the_site_has_is_never_left_to_the_centre(place: Place) -> None:
    withheld(await place.ask(dag="mill"), "do not let the Dag mill have it (", passing=False)
    withheld(await place.ask(dag=""), "do not let what is of no Dag have it", passing=False)
    withheld(await place.ask("other"), "no rule in", passing=False)
    withheld(await place.ask(write=True), "no task may change it", passing=False)
    assert place.airflow.asked == []


async def test_a_change_of_the_rules_counts_at_once(place: Place) -> None:
    place.say(place.rules.read_text().replace("press_*", "mill"))
    assert isinstance(await place.ask(dag="mill"), Given)
    withheld(await place.ask(), "do not let the Dag press_check have it", passing=False)


async def test_broken_rules_give_nothing_and_leave_nothing_to_the_centre(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    good = place.rules.read_text()
    assert isinstance(await place.ask(), Given)
    with caplog.at_level(logging.ERROR):
        place.say(f'{good}\nrubbish = "hunter2"')
        withheld(await place.ask(), "who may have it cannot be known now", passing=True)
        withheld(await place.ask("other", dag="mill"), "cannot be known now", passing=True)
        assert await place.ask("centre_db") is None
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert "hunter2" not in caplog.text + place.secrets.condition
    assert str(place.rules) in place.secrets.condition
    place.say(good)
    assert isinstance(await place.ask(), Given)
    assert place.secrets.condition == ""


async def test_rules_that_were_never_read_leave_every_name_open(place: Place) -> None:
    place.rules.chmod(0o666)
    withheld(await place.ask("centre_db"), "whether this site has", passing=True)
    assert "others may write" in place.secrets.condition


async def test_a_secret_that_may_not_be_used_is_still_the_sites(place: Place) -> None:
    place.put("connections/plc_db", "hunter2", 0o644)
    withheld(await place.ask(), "mode 0644", passing=False)
    withheld(await place.ask(dag="mill"), "do not let the Dag mill have it", passing=False)
    place.put("connections/plc_db", "hunter2", 0o600)
    place.airflow.error = UnusableSecretError("Airflow cannot read it")
    withheld(await place.ask(), "Airflow cannot read it", passing=False)
    assert place.secrets.condition == ""


async def test_a_folder_that_is_gone_is_a_condition_until_it_is_back(place: Place) -> None:
    (place.folder / "connections").rename(place.folder / "gone")
    assert await place.ask() is None
    place.say(f'[source]\nfolder = "{place.folder}/away"\n{ALLOW}')
    withheld(await place.ask("centre_db"), "cannot be known now", passing=True)
    assert "away cannot be read" in place.secrets.condition
    await place.secrets._look()
    assert "away cannot be read" in place.secrets.condition
    (place.folder / "away").mkdir(mode=0o700)
    await place.secrets._look()
    assert place.secrets.condition == ""


async def test_a_look_finds_a_folder_that_nobody_has_asked_for(place: Place) -> None:
    place.say('[source]\nfolder = "/nowhere/at/all"')
    await place.secrets._look()
    assert "/nowhere/at/all cannot be read" in place.secrets.condition


async def test_a_backend_is_asked_for_what_the_rules_name_only(place: Place) -> None:
    place.say(f'[source]\nbackend = "a.Backend"\n{ALLOW}')
    place.airflow.has = {"plc_db": "{}", "other": "{}"}
    assert await place.ask() == Given(b"{}")
    assert await place.ask("plc_7") is None
    withheld(await place.ask(dag="mill"), "do not let the Dag mill have it", passing=False)
    assert await place.ask("other") is None
    assert "other" not in place.airflow.asked


async def test_a_backend_that_is_down_is_a_condition_until_it_works_again(place: Place) -> None:
    place.say(f'[source]\nbackend = "a.Backend"\n{ALLOW}')
    place.airflow.error = SourceAwayError("a.Backend fails: ConnectionError")
    await place.secrets._look()
    assert place.airflow.asked == []
    withheld(await place.ask(), "a.Backend fails: ConnectionError", passing=True)
    assert "a.Backend fails" in place.secrets.condition
    await place.secrets._look()
    assert "a.Backend fails" in place.secrets.condition
    place.airflow.error = None
    await place.secrets._look()
    assert place.secrets.condition == ""


async def test_credentials_are_where_systemd_says(place: Place, tmp_path: Path) -> None:
    place.say(f"[source]\ncredentials = true\n{ALLOW}")
    given = tmp_path / "given"
    given.mkdir(mode=0o700)
    place.put("given/connection.plc_db", "uri", 0o440)
    systemds = SiteSecrets(place.rules, place.airflow, {"CREDENTIALS_DIRECTORY": str(given)})
    assert isinstance(await systemds.ask("connection", "plc_db", "press_check"), Given)
    without = SiteSecrets(place.rules, place.airflow, {})
    withheld(await without.ask("connection", "plc_db", "press_check"), "LoadCredential", passing=True)


async def test_a_disk_that_does_not_answer_holds_up_one_thread(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    released, called = threading.Event(), []

    def hang(*_: object) -> None:
        called.append(1)
        released.wait(20)

    with monkeypatch.context() as patch:
        patch.setattr(secrets, "load_rules", hang)
        patch.setattr(secrets, "PATIENCE", 0.05)
        for _ in range(3):
            withheld(await place.ask(), "does not answer", passing=True)
        assert len(called) == 1
        released.set()
    assert place.secrets._stuck is not None
    await place.secrets._stuck
    assert isinstance(await place.ask(), Given)
