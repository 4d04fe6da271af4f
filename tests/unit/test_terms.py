"""The options of an endpoint, as it has taken them (zmqcore/_terms.pxd)."""

from __future__ import annotations

import ctypes
import struct
from pathlib import Path

import pytest

from tests.native import _probe_terms as probe
from tests.unit.shim import let_probes_fail, run_with_shim

DEALER, ROUTER, XPUB, STREAM = 5, 6, 9, 11
ROUTING_ID, LINGER, MAXMSGSIZE, RCVTIMEO, SNDTIMEO, ZAP_DOMAIN = 5, 17, 22, 27, 28, 55
CONNECT_ROUTING_ID, XPUB_WELCOME, METADATA, SPIN_US = 61, 72, 95, 10001
PLAIN_PASSWORD, SOCKS_PASSWORD, IPC_FILTER_UID, TCP_ACCEPT_FILTER = 46, 100, 59, 38

# zmq_setsockopt(3) and what libzmq does; all others are taken by an endpoint. SNDHWM and RCVHWM are both.
LIVE = {
    17: "LINGER",
    27: "RCVTIMEO",
    28: "SNDTIMEO",
    33: "ROUTER_MANDATORY",
    40: "XPUB_VERBOSE",
    51: "PROBE_ROUTER",
    52: "REQ_CORRELATE",
    53: "REQ_RELAXED",
    56: "ROUTER_HANDOVER",
    61: "CONNECT_ROUTING_ID",
    69: "XPUB_NODROP",
    71: "XPUB_MANUAL",
    72: "XPUB_WELCOME_MSG",
    74: "INVERT_MATCHING",
    78: "XPUB_VERBOSER",
    98: "XPUB_MANUAL_LAST_VALUE",
    108: "ONLY_FIRST_SUBSCRIBE",
    SPIN_US: "SPIN_US",
}

BLOBS = [
    (ROUTING_ID, b"id"),
    (ZAP_DOMAIN, b"domain"),
    (METADATA, b"X-Name:value"),
    (PLAIN_PASSWORD, b"secret"),
    (SOCKS_PASSWORD, b"secret too"),
    (IPC_FILTER_UID, struct.pack("i", 1)),
    (TCP_ACCEPT_FILTER, b"10.0.0.0/8"),
]


@pytest.mark.parametrize("option", [*range(-1, 130), SPIN_US])
def test_what_is_live(option: int) -> None:
    assert bool(probe.is_live(option)) == (option in LIVE)


def test_terms_are_a_copy() -> None:
    terms = probe.Terms(DEALER, [(MAXMSGSIZE, struct.pack("q", 77)), *BLOBS])
    assert terms.get(ROUTING_ID, 255) == b"id"
    assert terms.get(MAXMSGSIZE, 8) == struct.pack("q", 77)
    assert terms.get(ZAP_DOMAIN, 256) == b"domain\0"
    assert terms.get(SOCKS_PASSWORD, 256) == b"secret too\0"


@pytest.mark.parametrize(
    ("socket_type", "blob"), [(ROUTER, (CONNECT_ROUTING_ID, b"peer")), (XPUB, (XPUB_WELCOME, b"hello"))]
)
def test_what_is_live_is_not_in_them(socket_type: int, blob: tuple[int, bytes]) -> None:
    times = [(option, struct.pack("i", 5)) for option in (LINGER, RCVTIMEO, SNDTIMEO)]
    assert probe.Terms(socket_type, [*times, blob]).live() == (0, 0, 0, 0, 0)


def test_terms_are_counted() -> None:
    terms = probe.Terms(STREAM, [(ROUTING_ID, b"id")])
    assert terms.refs == 1
    terms.ref()
    assert terms.refs == 2
    terms.unref()
    assert terms.refs == 1
    assert terms.get(ROUTING_ID, 255) == b"id"


def run_without_memory(shim: ctypes.CDLL) -> dict[str, int]:
    live_blocks = ctypes.cast(shim.live_blocks, ctypes.c_void_p).value
    assert live_blocks is not None
    let_probes_fail(shim)
    probe.set_live_blocks(live_blocks)
    refused = 0
    for calls in range(100):
        is_there, left = probe.blocks_left(DEALER, BLOBS, calls)
        assert left == 0
        if is_there:
            break
        refused += 1
    return {"refused": refused}


def test_without_memory_nothing_is_left_behind(tmp_path: Path) -> None:
    """Each allocation fails in turn: the terms and a copy of each blob."""
    assert run_with_shim(tmp_path, __name__, "run_without_memory")["refused"] == 1 + len(BLOBS)
