"""What a task's new state says of others: the trigger that it is left to, and the assets that it has changed.

Airflow takes a task's word for both. It starts the Dags that wait for such an asset, and imports what is named as a
trigger, whether that is one or not, and calls it with what the body says: at the centre.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from airflow_edge.rules.policy.grants import Grant, Need


class _Trigger(msgspec.Struct):
    classpath: str | None = None


class _Asset(msgspec.Struct):
    name: str | None = None
    uri: str | None = None
    type: str = ""

    @property
    def need(self) -> Need:
        name = self.uri if self.type == "AssetUriRef" or not self.name else self.name
        return Need(grant=Grant.SET_ASSETS, name=name or "")


class _AssetEvent(msgspec.Struct):
    dest_asset_key: _Asset | None = None


class _Changes(msgspec.Struct):
    task_outlets: tuple[_Asset, ...] = ()
    outlet_events: tuple[_AssetEvent, ...] = ()


_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def deferral(body: bytes) -> list[Need]:
    """Give what it needs for its trigger, whatever state it is; what cannot be read needs what nobody is granted.

    Airflow makes nothing of that either; were it to, nothing has been granted.
    """
    try:
        classpath = msgspec.json.decode(body, type=_Trigger).classpath
        msgspec.json.decode(body, type=_Changes)
    except _UNREADABLE:
        classpath = ""
    return [] if classpath is None else [Need(grant=Grant.DEFER, name=classpath)]


def changes(body: bytes) -> list[Need]:
    """Give what it needs for the assets that it says are changed; nothing for what cannot be read."""
    try:
        said = msgspec.json.decode(body, type=_Changes)
    except _UNREADABLE:
        return []
    assets = (*said.task_outlets, *(event.dest_asset_key for event in said.outlet_events))
    return list(dict.fromkeys(asset.need for asset in assets if asset is not None))


def without(body: bytes, withheld: Collection[Need]) -> bytes:
    """Give the same state, as if it said nothing of the assets that these needs are about."""
    said: dict[str, Any] = msgspec.json.decode(body)
    kept = msgspec.json.decode(body, type=_Changes)
    outlets = [asset.need for asset in kept.task_outlets]
    events = [event.dest_asset_key and event.dest_asset_key.need for event in kept.outlet_events]
    for name, needs in (("task_outlets", outlets), ("outlet_events", events)):
        if name in said:
            said[name] = [one for one, need in zip(said[name], needs, strict=True) if need not in withheld]
    return msgspec.json.encode(said)
