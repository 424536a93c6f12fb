"""Proof of knowing `[api_auth] jwt_secret`, for sites configured the old way. The secret itself is not sent."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from typing import Final

from airflow_edge.agent.config import Sources
from airflow_edge.agent.errors import ConfigError
from airflow_edge.protocol import tokens

_DIGESTS: Final = {"HS256": hashlib.sha256, "HS384": hashlib.sha384, "HS512": hashlib.sha512}
_GUESS: Final = "GUESS"
"""Airflow's default for the algorithm, which means HS512 where there is a secret."""


class SharedSecret:
    """A secret that Airflow's own components sign their tokens with."""

    def __init__(self, secret: str, algorithm: str = "HS512") -> None:
        self._secret = secret.encode()
        self._algorithm = algorithm

    @classmethod
    def find(cls, sources: Sources) -> SharedSecret | None:
        """Read it from the environment or `airflow.cfg`; None if there is none.

        :raises ConfigError: the command that should print it fails, or the algorithm is none for a secret.
        """
        found = sources.find_secret("api_auth", "jwt_secret")
        if found is None:
            return None
        algorithm, origin = sources.find("api_auth", "jwt_algorithm") or (_GUESS, "")
        if algorithm.upper() == _GUESS:
            algorithm = "HS512"
        if algorithm not in _DIGESTS:
            raise ConfigError(
                f"jwt_algorithm is '{algorithm}' ({origin}), with which a shared secret cannot be used; enrol with a "
                "token instead (at the centre: airflow edge enroll-token create)"
            )
        return cls(found[0], algorithm)

    def proof(self) -> str:
        """Make a JWT (RFC 7519) that is good once, for a minute."""
        now = int(time.time())
        header = {"alg": self._algorithm, "typ": "JWT"}
        claims: dict[str, str | int] = {
            "aud": tokens.PROOF_AUDIENCE,
            "iat": now,
            "exp": now + tokens.LIFETIME,
            "jti": secrets.token_urlsafe(16),
        }
        signed = tokens.signing_input(claims, header)
        return tokens.assemble(signed, hmac.new(self._secret, signed, _DIGESTS[self._algorithm]).digest())
