from __future__ import annotations

import pytest

from tests.integration.admin.test_api import OF_ONE_THAT_IS_NOT, READS

PATHS = [path for path in READS if path not in OF_ONE_THAT_IS_NOT]
# Charts go on by the minute.
QUERIES = {**READS, "/workers/{name}/metrics": {"since": "2026-01-01T00:00:00Z", "until": "2026-01-01T01:00:00Z"}}


def ask(api, path, known=None, role="viewer"):
    headers = {**api.headers(role), **({} if known is None else {"If-None-Match": known})}
    url = f"/edge_worker/api{path.format(name='w', queue='default')}"
    return api.client.get(url, headers=headers, params=QUERIES.get(path))


@pytest.mark.parametrize("path", PATHS)
def test_who_has_an_answer_already_is_told_so(api, path):
    api.worker("w")
    first = ask(api, path)
    tag = first.headers["ETag"]
    assert (first.status_code, first.headers["Cache-Control"], bool(first.content)) == (200, "private, no-cache", True)
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = ask(api, path, known)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag), known
        assert "content-length" not in again.headers
    assert ask(api, path, '"other"').content == first.content


def test_a_change_is_seen_at_once(api):
    api.worker("w")
    tag = ask(api, "/workers").headers["ETag"]
    api.worker("x")
    after = ask(api, "/workers", tag)
    assert (after.status_code, after.json()["total"]) == (200, 2)
    assert after.headers["ETag"] != tag


def test_a_refusal_has_no_tag_and_nobody_hears_of_an_answer_that_he_may_not_have(api):
    api.worker("w")
    tag = ask(api, "/workers").headers["ETag"]
    refused = ask(api, "/workers", tag, role=None)
    assert (refused.status_code, refused.json()["code"]) == (401, "unauthenticated")
    missing = ask(api, "/orders/none", "*")
    assert (missing.status_code, "ETag" in missing.headers) == (422, False)
    changed = api.call("POST", "/workers/shutdown", role="op", json={"workers": ["w"]})
    assert "ETag" not in changed.headers
