"""The properties of a connection's messages: who wins when a name comes twice."""

from __future__ import annotations

from tests.native import _probe_metadata as probe
from tests.raw_peer import prop

VOUCHED = prop(b"User-Id", b"somebody") + prop(b"Rank", b"high") + prop(b"X-b", b"")
TOLD = prop(b"Socket-Type", b"PUSH") + prop(b"Rank", b"higher") + prop(b"User-Id", b"root") + prop(b"X-a", b"1")


def test_everybody_is_heard_in_turn() -> None:
    metadata = probe.Metadata(b"127.0.0.1", 12, VOUCHED, TOLD + prop(b"Peer-Address", b"::1") + prop(b"__fd", b"0"))
    expected = {
        b"Peer-Address": b"127.0.0.1",
        b"__fd": b"12",
        b"User-Id": b"somebody",
        b"Rank": b"high",
        b"X-b": b"",
        b"Socket-Type": b"PUSH",
        b"X-a": b"1",
        b"user-id": None,
        b"X-c": None,
        b"": None,
    }
    assert {name: metadata.find(name) for name in expected} == expected


def test_only_zap_says_who_somebody_is() -> None:
    metadata = probe.Metadata(b"", 3, b"", TOLD)
    assert metadata.find(b"User-Id") is None
    assert metadata.find(b"X-a") == b"1"
    assert metadata.find(b"Peer-Address") == b""
