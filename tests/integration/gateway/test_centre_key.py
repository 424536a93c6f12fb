"""What makes a site act comes signed with the centre's key, over real sockets."""

from __future__ import annotations

import pytest

from airflow_edge.admin.centre_keys import keyring, rotate
from airflow_edge.agent.net.centre_key import Pin
from airflow_edge.gateway.access import centre_key
from airflow_edge.protocol.frames import decode_centre_frame
from airflow_edge.protocol.messages import Offer, Signed
from airflow_edge.protocol.signatures import LinkContext

pytestmark = pytest.mark.one_database


async def next_signed(connection):
    while not isinstance((frame := decode_centre_frame(await connection.recv())).body, Signed):
        assert not isinstance(frame.body, Offer)
    return frame


@pytest.mark.attack(8)
async def test_attack_08_an_offer_is_signed_for_its_link_and_a_new_key_is_introduced_by_the_one_before(
    centre, monkeypatch
):
    monkeypatch.setattr(centre_key, "MAX_AGE", 0.0)
    queue = centre.queue_name()
    site = await centre.site(queue)
    kept: list[str] = []
    jobs: set[str] = set()
    pin = Pin(centre.centre_key(), kept.append)
    for nonce in ("first", "second"):
        async with site.link(centre.gateway, nonce=nonce, centre_key=pin.fingerprint) as link:
            pin.follow(link.welcome.centre_keys)
            jobs.add(str(centre.queue(queue).id))
            frame = await next_signed(link.connection)
            here = LinkContext(site.worker_id, nonce, link.welcome.session_id)
            opened = pin.opened(frame, here).body
            assert isinstance(opened, Offer)
            # The first one is offered again on the second link.
            assert opened.job_id in jobs
        rotate(centre.store, by="test")
    assert len(kept) == 1
    assert kept[0] != keyring(centre.store).links[0].key
