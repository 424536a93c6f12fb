from __future__ import annotations

import time

import jwt
import pytest

from airflow_edge.agent.config import Sources
from airflow_edge.agent.errors import ConfigError
from airflow_edge.agent.net.enrolment import SharedSecret
from airflow_edge.protocol.enrolment import statement_digest
from airflow_edge.protocol.tokens import LIFETIME, PROOF_OF

WISH = ("00" * 32, "press-7", ("a", "b"))
SECRET = "the secret that Airflow's components share" * 2


def find(**environment: str) -> SharedSecret | None:
    names = {f"AIRFLOW__API_AUTH__{name.upper()}": text for name, text in environment.items()}
    return SharedSecret.find(Sources({"AIRFLOW_HOME": "/nowhere", **names}))


def test_without_a_secret_there_is_none():
    assert find() is None


@pytest.mark.parametrize(
    ("setting", "algorithm"), [(None, "HS512"), ("GUESS", "HS512"), ("HS256", "HS256"), ("HS384", "HS384")]
)
def test_a_proof_is_a_jwt_that_others_can_check(setting, algorithm):
    secret = find(jwt_secret=SECRET, **({} if setting is None else {"jwt_algorithm": setting}))
    assert secret is not None
    claims = jwt.decode(secret.proof(*WISH), SECRET, algorithms=[algorithm], audience="airflow-edge-enroll")
    assert claims["exp"] - claims["iat"] == LIFETIME
    assert abs(claims["iat"] - time.time()) < 5
    assert claims[PROOF_OF] == statement_digest(*WISH, claims["iat"])
    assert (
        jwt.decode(secret.proof(*WISH), SECRET, algorithms=[algorithm], audience="airflow-edge-enroll")["jti"]
        != claims["jti"]
    )


def test_keys_that_are_no_secret_are_told_apart():
    with pytest.raises(ConfigError, match=r"EdDSA.*enroll-token create"):
        find(jwt_secret=SECRET, jwt_algorithm="EdDSA")


def test_the_secret_is_not_shown():
    secret = find(jwt_secret=SECRET)
    assert secret is not None
    assert SECRET not in repr(secret)
    assert SECRET not in secret.proof(*WISH)
