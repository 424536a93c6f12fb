"""`airflow-edge enroll` as a person types it, against a real gateway."""

from __future__ import annotations

import json
import re
import shlex
import socket
import threading

import pytest

from airflow_edge.agent.net.enrolment import default_name
from airflow_edge.protocol import urls
from airflow_edge.protocol.enrolment import write_token
from harness.middlebox import Interference, Middlebox, Moment, answer, page
from tests.integration.site.centre import JWT_SECRET
from tests.integration.site.machine import Machine

NOBODYS = write_token(bytes(32), "x" * 22)


def test_it_makes_a_key_that_only_this_user_can_read_and_says_how_to_go_on(centre, machine):
    said = machine.type("enroll", centre.http, centre.token("press", "saw"), "--name", "press-1")

    assert (said.status, said.err) == (0, "")
    assert "press-1" in said.out
    assert "press, saw" in said.out
    assert "airflow-edge worker" in said.out
    identity = machine.state_dir / "worker.json"
    assert identity.stat().st_mode & 0o777 == 0o600
    assert machine.state_dir.stat().st_mode & 0o777 == 0o700
    assert {path.name for path in machine.state_dir.iterdir()} == {"worker.json"}


def test_what_is_said_to_type_next_works_for_another_state_folder_too(centre, machine):
    folder = str(machine.folder / "the other one")
    said = machine.type("enroll", centre.http, centre.token(), "--name", "elsewhere", "--state-dir", folder)
    assert said.status == 0, said.err
    (command,) = re.findall("`(airflow-edge worker.*)`", said.out)
    assert shlex.split(command) == ["airflow-edge", "worker", "--state-dir", folder]


def test_a_url_without_the_path_of_the_base_url_says_what_it_is(centre, machine):
    """The gateway hears of it, at no address of its own: a wrong URL, and no refusal."""
    said = machine.type("enroll", f"{centre.http}/edge_worker/beside", NOBODYS, "--name", "lost")
    assert said.status == 5
    assert "is not the gateway's address" in said.complaint


def test_without_a_name_it_is_the_hosts(centre, machine):
    assert machine.type("enroll", centre.http, centre.token()).status == 0
    name = json.loads((machine.state_dir / "worker.json").read_text())["name"]
    assert name == default_name()


def test_the_token_can_come_from_the_input_and_the_url_from_the_settings(centre, machine):
    said = machine.type("enroll", AIRFLOW__EDGE__API_URL=f"{centre.http}/edge_worker/v1/rpcapi")
    assert said.status == 2
    assert "enroll-token create" in said.complaint

    said = machine.type("enroll", centre.http, "-", "--name", "input-1", stdin=centre.token() + "\n")
    assert said.status == 0


def test_an_enrolled_folder_is_not_enrolled_again_by_mistake(centre, machine):
    machine.type("enroll", centre.http, centre.token(), "--name", "again-1")
    before = (machine.state_dir / "worker.json").read_bytes()

    said = machine.type("enroll", centre.http, centre.token(), "--name", "again-2")
    assert said.status == 2
    assert "again-1" in said.complaint
    assert "--force" in said.complaint
    assert (machine.state_dir / "worker.json").read_bytes() == before

    said = machine.type("enroll", centre.http, centre.token(), "--name", "again-2", "--force")
    assert said.status == 0
    assert json.loads((machine.state_dir / "worker.json").read_text())["name"] == "again-2"


@pytest.mark.parametrize("why", ["spent", "expired", "unknown", "name pattern"])
def test_a_token_that_does_not_hold_is_refused(centre, machine, tmp_path, why):
    match why:
        case "spent":
            token = centre.token()
            other = Machine(tmp_path / "other")
            assert other.type("enroll", centre.http, token, "--name", "first-come").status == 0
        case "expired":
            token = centre.token(expired=True)
        case "unknown":
            token = NOBODYS
        case _:
            token = centre.token(pattern="factory-*")
    said = machine.type("enroll", centre.http, token, "--name", "late-comer")

    assert said.status == 8
    assert len(said.complaint) > 30
    assert list(machine.state_dir.iterdir()) == []


def test_a_taken_name_is_refused(centre, machine, tmp_path):
    other = Machine(tmp_path / "other")
    assert other.type("enroll", centre.http, centre.token(), "--name", "taken").status == 0

    said = machine.type("enroll", centre.http, centre.token(), "--name", "taken")
    assert said.status == 8
    assert "taken" in said.complaint


@pytest.mark.parametrize("seconds", [3600, -3600])
def test_a_wrong_clock_is_named_and_by_how_much(centre, machine, seconds):
    clock = machine.wrong_clock(seconds)
    said = machine.type("enroll", centre.http, centre.token(), "--name", "timeless", **clock)

    assert said.status == 9
    assert "clock" in said.complaint
    assert any(str(number) in said.complaint for number in range(3590, 3611))
    assert list(machine.state_dir.iterdir()) == []


def test_an_api_that_is_not_enabled_says_what_to_set(centre, machine):
    said = machine.type("enroll", centre.disabled, centre.token(), "--name", "early")

    assert said.status == 7
    assert "api_enabled" in said.complaint


def test_a_web_page_is_no_airflow(machine, web_page):
    said = machine.type("enroll", web_page, NOBODYS, "--name", "lost")

    assert said.status == 5
    assert web_page in said.complaint
    # The centre may have heard of it all the same: the next attempt comes with the same key.
    assert [path.name for path in machine.state_dir.iterdir()] == ["enrolling.json"]


def test_an_airflow_without_the_gateway_is_recognised(centre, machine):
    said = machine.type("enroll", centre.airflow_only, NOBODYS, "--name", "lost")

    assert said.status == 5
    assert "Airflow 3.3.2" in said.complaint
    assert "airflow-edge[server]" in said.complaint


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("airflow.example.org", "has to look like"),
        ("ftp://airflow.example.org", "has to look like"),
        ("https://airflow.invalid", "host name"),
    ],
)
def test_a_wrong_url_is_told_apart(machine, url, words):
    said = machine.type("enroll", url, NOBODYS, "--name", "lost")

    assert said.status == 5
    assert words in said.complaint
    assert not machine.state_dir.exists() or list(machine.state_dir.iterdir()) == []


def test_http_to_another_machine_is_for_those_who_say_so(machine):
    said = machine.type("enroll", "http://airflow.example.org", "edge_" + "x" * 43, "--name", "lost")

    assert said.status == 2
    assert "--insecure" in said.complaint
    assert not machine.state_dir.exists() or list(machine.state_dir.iterdir()) == []


def test_a_closed_port_is_told_apart(machine):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        said = machine.type("enroll", f"http://127.0.0.1:{closed.getsockname()[1]}", NOBODYS, "--name", "lost")

    assert said.status == 5
    assert "connection refused" in said.complaint
    assert list(machine.state_dir.iterdir()) == []


@pytest.mark.parametrize(
    "words", [(), ("http://x",), ("http://x", "token", "--name", "a/b"), ("http://x", "t", "--bad")]
)
def test_a_mistyped_command_says_how_it_goes(machine, words):
    said = machine.type("enroll", *words)
    assert said.status == 2
    assert "airflow-edge" in said.err


def test_a_lost_answer_costs_no_token(centre, machine):
    """The first answer is cut off on its way; the same command again gets the same worker, with the token used once."""
    token = centre.token()
    host, port = "127.0.0.1", int(centre.http.rpartition(":")[2])
    with socket.create_server((host, 0)) as listener:

        def pass_on_and_hang_up() -> None:
            site, _ = listener.accept()
            with site, socket.create_connection((host, port)) as gateway:
                request = b""
                # Its last byte is the last of the JSON in its body.
                while not request.endswith(b"}"):
                    request += site.recv(65536)
                gateway.sendall(request)
                assert gateway.recv(65536).startswith(b"HTTP/1.1 200")

        thread = threading.Thread(target=pass_on_and_hang_up)
        thread.start()
        said = machine.type("enroll", f"http://{host}:{listener.getsockname()[1]}", token, "--name", "unlucky")
        thread.join()
    assert said.status == 5
    assert not (machine.state_dir / "worker.json").exists()

    said = machine.type("enroll", centre.http, token, "--name", "unlucky")
    assert (said.status, said.err) == (0, "")
    assert {path.name for path in machine.state_dir.iterdir()} == {"worker.json"}


@pytest.mark.parametrize("moment", Moment)
def test_a_strangers_answer_is_waited_out_and_costs_no_token(centre, machine, moment):
    """Also where the centre had granted it already."""
    left = [Interference(moment, page(404, "default backend"))] * 2
    with Middlebox(centre.http) as box:
        box.interfere(lambda request: left.pop() if urls.ENROLL in request.path and left else None)
        said = machine.type("enroll", box.url, centre.token(), "--name", f"portal-{moment.name}")
    assert said.status == 0, said.err
    assert ("changed or cut off" if moment is Moment.WITHIN else "default backend") in said.err
    assert "waiting for up to" in said.err
    assert not left
    assert {path.name for path in machine.state_dir.iterdir()} == {"worker.json"}


def test_a_redirect_is_named_with_the_url_to_use(centre, machine):
    with Middlebox(centre.http) as box:
        said_there = answer(301, Location="https://airflow.example.org/edge_worker/v1/enroll")
        box.interfere(lambda request: Interference(Moment.BEFORE, said_there))
        said = machine.type("enroll", box.url, NOBODYS, "--name", "lost")
    assert said.status == 5
    assert "enrol again with https://airflow.example.org," in said.complaint


def test_a_proxy_that_is_away_is_named_instead_of_the_centre(machine):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        proxy = f"127.0.0.1:{closed.getsockname()[1]}"
        said = machine.type(
            "enroll",
            "http://airflow.example",
            NOBODYS,
            "--name",
            "x",
            "--insecure",
            HTTP_PROXY=f"http://me:hunter2@{proxy}",
        )
    assert said.status == 5
    assert f"nothing listens at the proxy http://{proxy}" in said.complaint
    assert "hunter2" not in said.err


def test_the_shared_secret_enrols_where_it_may(centre, machine):
    secret = {"AIRFLOW__API_AUTH__JWT_SECRET": JWT_SECRET}
    said = machine.type(
        "enroll", centre.trusting, "--shared-secret", "-q", "old,older", "--name", "old-timer", **secret
    )

    assert (said.status, said.err) == (0, "")
    assert "old, older" in said.out
    assert not any(JWT_SECRET in path.read_text() for path in machine.state_dir.iterdir())


@pytest.mark.parametrize(
    ("gateway", "secret", "words"),
    [
        ("http", JWT_SECRET, "allow_shared_secret_enrollment"),
        ("trusting", "another secret" * 4, "jwt_secret"),
    ],
    ids=["not allowed", "another secret"],
)
def test_the_shared_secret_is_refused_clearly(centre, machine, gateway, secret, words):
    url = getattr(centre, gateway)
    said = machine.type("enroll", url, "--shared-secret", "--name", "old-timer-2", AIRFLOW__API_AUTH__JWT_SECRET=secret)

    assert said.status == 8
    assert words in said.complaint


def test_the_shared_secret_has_to_be_there(centre, machine):
    said = machine.type("enroll", centre.trusting, "--shared-secret")
    assert said.status == 2
    assert "jwt_secret" in said.complaint
