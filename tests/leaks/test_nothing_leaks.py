"""Every flow under every fault, with known secrets: none of them is left in anything that stays behind."""

from __future__ import annotations

import re
from typing import Any

import pytest
from evidence import Evidence
from flows import BOT, BOTS, FLOWS, KEYS, OLDER_KEYS, RESTORE

FOR_EVER = {"times": None}
# Of a download these bytes arrive, and the rest is asked for again: not for ever.
SIX_TIMES = {"times": 6}
FAULTS: dict[str, dict[str, Any]] = {
    "400": {"action": "status", "status": 400, "body": '{"error": "no"}', **FOR_EVER},
    "401": {"action": "status", "status": 401, **FOR_EVER},
    "403": {"action": "status", "status": 403, **FOR_EVER},
    "404": {"action": "status", "status": 404, "body": '{"error": "no"}', **FOR_EVER},
    "429": {"action": "status", "status": 429, "headers": {"Retry-After": "3600"}, **FOR_EVER},
    "500 once": {"action": "status", "status": 500},
    "503": {"action": "status", "status": 503, **FOR_EVER},
    "500 after it took effect": {"action": "status", "status": 500, "processed": True},
    "empty 200": {"action": "status", "status": 200, **FOR_EVER},
    "page": {"action": "html", **FOR_EVER},
    "page for 200": {"action": "html", "status": 200, **FOR_EVER},
    "page for 403": {"action": "html", "status": 403, **FOR_EVER},
    "echo as JSON": {"action": "echo", **FOR_EVER},
    "echo as JSON for 200": {"action": "echo", "status": 200, **FOR_EVER},
    "echo as text": {"action": "echo", "status": 401, "form": "text", **FOR_EVER},
    "echo as text for 200": {"action": "echo", "status": 200, "form": "text", **FOR_EVER},
    "echo as in a URL": {"action": "echo", "status": 403, "form": "url", **FOR_EVER},
    "echo in Base64": {"action": "echo", "status": 500, "form": "base64", **FOR_EVER},
    "echo in a page": {"action": "echo", "status": 404, "form": "html", **FOR_EVER},
    "redirect": {"action": "redirect", "location": "{elsewhere}/x?sig=s1gnatur3OfAL1nk", **FOR_EVER},
    "redirect to nowhere": {"action": "redirect", "location": "http://[s1gnatur3OfAL1nk", **FOR_EVER},
    "redirect to a metadata service": {
        "action": "redirect",
        "location": "http://169.254.169.254/?sig=s1gnatur3OfAL1nk",
        **FOR_EVER,
    },
    "delay": {"action": "delay", "seconds": 0.01},
    "answer dropped": {"action": "drop_answer", **FOR_EVER},
    "reset": {"action": "reset", **FOR_EVER},
    "reset in the body": {"action": "reset", "after_bytes": 20, **SIX_TIMES},
    "cut": {"action": "truncate", "after_bytes": 20, **SIX_TIMES},
    "cut in chunks": {"action": "truncate", "after_bytes": 20, "length": "chunked", **SIX_TIMES},
    "cut in silence": {"action": "truncate", "after_bytes": 40, "length": "silent", **SIX_TIMES},
    "stall": {"action": "stall", "seconds": 30},
    "stall in the body": {"action": "stall", "after_bytes": 20, "seconds": 30},
    "too short": {"action": "wrong_length", "difference": 100, **SIX_TIMES},
    "too long": {"action": "wrong_length", "difference": -20, **SIX_TIMES},
    "corrupt": {"action": "corrupt", "offset": 1, **FOR_EVER},
    "gzip": {"action": "gzip", **FOR_EVER},
    "odd headers": {
        "action": "headers",
        "set": {"Date": "x", "Retry-After": "x", "Content-Type": "x/y", "ETag": "x", "Last-Modified": "x"},
        **FOR_EVER,
    },
    "no headers": {"action": "headers", "remove": ("date", "content-type", "last-modified", "etag"), **FOR_EVER},
    "file replaced": {"action": "replace_file"},
}
# What a service hands out as a bot's backup is the backup, and kept as it is.
THE_BACKUP_ITSELF = {(flow, BOT, "echo as text for 200") for flow in ("store a bot", "store a bot with keys")}
TRIPLES = [
    (flow, endpoint, fault)
    for flow in FLOWS
    for endpoint in FLOWS[flow].endpoints
    for fault in FAULTS
    if (flow, endpoint, fault) not in THE_BACKUP_ITSELF
]
# One in seven in every run, so that each fault meets several endpoints; all of them in `make faults`.
CASES = [
    pytest.param(*triple, id="{}, {}: {}".format(*triple), marks=() if number % 7 == 0 else pytest.mark.exhaustive)
    for number, triple in enumerate(TRIPLES)
]


@pytest.mark.parametrize("flow", FLOWS)
def test_a_flow_leaves_no_secret_behind(scene, flow):
    FLOWS[flow].prepare(scene)

    scene.play(FLOWS[flow].run)

    assert "error" not in {where.split(":")[0] for where, _ in scene.evidence.texts}
    assert scene.leaks() == []


@pytest.mark.parametrize(("flow", "endpoint", "fault"), CASES)
def test_a_fault_leaves_no_secret_behind(scene, elsewhere, flow, endpoint, fault):
    rule = {
        name: value.replace("{elsewhere}", elsewhere.url) if isinstance(value, str) else value
        for name, value in FAULTS[fault].items()
    }
    FLOWS[flow].prepare(scene)
    if endpoint == OLDER_KEYS:
        # It is asked where the newer address is not known.
        scene.sim.add_fault(action="status", status=404, path=KEYS, **FOR_EVER)
    scene.sim.add_fault(path=endpoint, **rule)
    if rule["action"] == "stall":
        scene.lose_patience()

    scene.play(FLOWS[flow].run)

    assert any(entry.fault and re.search(endpoint, entry.path) for entry in scene.sim.journal.entries())
    # The link itself goes where it leads to, and nothing else does.
    others = Evidence({name: secret for name, secret in scene.evidence.secrets.items() if name != "SIGNATURE"})
    others.add("request to another host", "\n".join(elsewhere.seen))
    assert others.leaks() == []
    assert scene.leaks() == []


@pytest.mark.parametrize("after_bytes", range(40, 400, 40))
@pytest.mark.parametrize(
    ("flow", "endpoint"), [("list bots", BOTS), ("list bots", KEYS), ("restore a bot", RESTORE)]
)
def test_half_an_answer_full_of_secrets_is_not_quoted(scene, flow, endpoint, after_bytes):
    scene.sim.add_fault(action="truncate", path=endpoint, after_bytes=after_bytes, length="silent", **FOR_EVER)

    scene.play(FLOWS[flow].run)

    assert scene.leaks() == []


def test_a_list_of_bots_that_is_cut_is_told_by_its_size(scene):
    scene.sim.add_fault(action="truncate", path=BOTS, after_bytes=200, length="silent", **FOR_EVER)

    scene.play(FLOWS["list bots"].run)

    assert any("200 bytes of something else" in text for _, text in scene.evidence.texts)
    assert scene.leaks() == []
