"""Monitor events of connections (events.csv, protocol_errors.csv): the way a fault of a peer becomes visible."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest

from tests.raw_peer import RawPeer, Rig, command, error, frame, greeting, prop, ready

UNEXPECTED_COMMAND = 0x10000001
MALFORMED_ERROR = 0x10000015
MECHANISM_MISMATCH = 0x11000002


@pytest.fixture
def watched(rig: Rig) -> tuple[Any, RawPeer]:
    """The monitor of a bound ROUTER, and a raw peer of it."""
    router, endpoint = rig.bind("ROUTER", HANDSHAKE_IVL=0)
    monitor = rig.monitor(router)
    return monitor, rig.peer(endpoint)


def test_accepting_side(rig: Rig, watched: Any) -> None:
    """ACCEPTED before the handshake, HANDSHAKE_SUCCEEDED behind it, DISCONNECTED at the end."""
    monitor, peer = watched
    peer.handshake("DEALER")
    assert monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_SUCCEEDED) == (0, [rig.zmq.EVENT_ACCEPTED])
    peer.close()
    assert monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)[1] == []


def test_connecting_side(rig: Rig) -> None:
    """CONNECT_DELAYED, CONNECTED, HANDSHAKE_SUCCEEDED; then DISCONNECTED and CONNECT_RETRIED."""
    zmq = rig.zmq
    listener = rig.listen()
    dealer = rig.socket("DEALER", RECONNECT_IVL=10)
    monitor = rig.monitor(dealer)
    dealer.connect(listener.endpoint)
    peer = listener.accept()
    peer.handshake("DEALER")
    before = monitor.wait_for(zmq.EVENT_HANDSHAKE_SUCCEEDED)[1]
    assert before == [zmq.EVENT_CONNECT_DELAYED, zmq.EVENT_CONNECTED]
    peer.close()
    delay_ms, before = monitor.wait_for(zmq.EVENT_CONNECT_RETRIED)
    assert before == [zmq.EVENT_DISCONNECTED]
    assert 10 <= delay_ms <= 19


@pytest.mark.parametrize(
    ("data", "event", "value"),
    [
        pytest.param(command(b"HELLO"), "PROTOCOL", UNEXPECTED_COMMAND, id="other command"),
        pytest.param(frame(b"hello"), "PROTOCOL", UNEXPECTED_COMMAND, id="message"),
        pytest.param(error(b"400"), "AUTH", 400, id="ERROR 400"),
        pytest.param(error(b"300"), "AUTH", 300, id="ERROR 300"),
        pytest.param(command(b"ERROR", b"\x09abc"), "PROTOCOL", MALFORMED_ERROR, id="malformed ERROR"),
    ],
)
def test_failed_handshakes(rig: Rig, watched: Any, data: bytes, event: str, value: int) -> None:
    """HANDSHAKE_FAILED_* is raised on the side that notices, then DISCONNECTED."""
    monitor, peer = watched
    peer.greet()
    peer.expect(ready("ROUTER"))
    peer.send(data)
    got, before = monitor.wait_for(getattr(rig.zmq, f"EVENT_HANDSHAKE_FAILED_{event}"))
    assert (got, before) == (value, [rig.zmq.EVENT_ACCEPTED])
    assert monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)[1] == []
    peer.expect_close()


def test_mechanism_mismatch(rig: Rig, watched: Any) -> None:
    """HANDSHAKE_FAILED_PROTOCOL 0x11000002, DISCONNECTED."""
    monitor, peer = watched
    peer.send(greeting(b"PLAIN"))
    got, before = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL)
    assert (got, before) == (MECHANISM_MISMATCH, [rig.zmq.EVENT_ACCEPTED])
    assert monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)[1] == []


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(ready("PUB"), id="wrong Socket-Type"),
        pytest.param(command(b"READY", prop(b"Socket-Type", b"DEALER") + b"\x01"), id="malformed READY"),
        pytest.param(error(b"some text"), id="ERROR with text"),
    ],
)
def test_faults_without_an_event_of_their_own(rig: Rig, watched: Any, data: bytes) -> None:
    """No handshake event, only DISCONNECTED."""
    monitor, peer = watched
    peer.greet()
    peer.expect(ready("ROUTER"))
    peer.send(data)
    assert monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)[1] == [rig.zmq.EVENT_ACCEPTED]


def test_connection_lost_in_the_handshake(rig: Rig, watched: Any) -> None:
    """HANDSHAKE_FAILED_NO_DETAIL: connection lost during the handshake, with EPIPE."""
    monitor, peer = watched
    peer.greet()
    peer.expect(ready("ROUTER"))
    peer.close()
    value, before = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert (value, before) == (errno.EPIPE, [rig.zmq.EVENT_ACCEPTED])


def test_handshake_timeout(rig: Rig) -> None:
    """HANDSHAKE_FAILED_NO_DETAIL: HANDSHAKE_IVL expired, with EAGAIN."""
    router, endpoint = rig.bind("ROUTER", HANDSHAKE_IVL=30)
    monitor = rig.monitor(router)
    peer = rig.peer(endpoint)
    value, before = monitor.wait_for(rig.zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL)
    assert (value, before) == (errno.EAGAIN, [rig.zmq.EVENT_ACCEPTED])
    peer.read_to_close()


def test_old_peers_have_no_handshake_event(rig: Rig, watched: Any) -> None:
    """HANDSHAKE_SUCCEEDED is not raised for ZMTP 1.0 and 2.0 peers."""
    monitor, peer = watched
    peer.handshake_v2(rig.zmq.DEALER)
    peer.close()
    assert rig.zmq.EVENT_HANDSHAKE_SUCCEEDED not in monitor.wait_for(rig.zmq.EVENT_DISCONNECTED)[1]


@pytest.mark.parametrize(
    ("ivl_ms", "ivl_max_ms", "delays_ms"),
    [(5, 40, [5, 10, 20, 40, 40]), (10, 10, [10, 10, 10]), (20, 5, [5, 5])],
)
def test_back_off(rig: Rig, ivl_ms: int, ivl_max_ms: int, delays_ms: list[int]) -> None:
    """RECONNECT_IVL_MAX > 0: IVL, doubled up to MAX, no jitter; IVL > MAX: MAX."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        dealer = rig.socket("DEALER", RECONNECT_IVL=ivl_ms, RECONNECT_IVL_MAX=ivl_max_ms)
        monitor = rig.monitor(dealer)
        dealer.connect(f"tcp://127.0.0.1:{reserved.getsockname()[1]}")
        assert [monitor.wait_for(rig.zmq.EVENT_CONNECT_RETRIED)[0] for _ in delays_ms] == delays_ms
