from __future__ import annotations

from airflow_edge.admin.centre_keys import keyring, rotate
from airflow_edge.agent.net.centre_key import follow
from airflow_edge.store.store import Store


def test_the_first_key_is_made_once_and_each_introduces_the_next(store: Store) -> None:
    first = keyring(store)
    assert keyring(store).links == first.links
    rotate(store, by="anna")
    keys = rotate(store, by="ben")
    assert [(key.number, key.created_by, key.private_key is not None) for key in keys[1:]] == [
        (2, "anna", False),
        (3, "ben", True),
    ]
    newest = keyring(store)
    assert newest.links[0] == first.links[0]
    assert follow(first.links[0].key, newest.since(first.fingerprint)) == newest.links[-1].key
    assert newest.since(newest.fingerprint) == newest.since("of another Airflow") == ()
    assert newest.has(first.fingerprint)
    assert not first.has(newest.fingerprint)
    assert newest.sign(b"x") != first.sign(b"x")
