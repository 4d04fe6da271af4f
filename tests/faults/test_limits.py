"""Full queues, flooded sockets, descriptors that leak or run out."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.raw_peer import (
    RawPeer,
    Rig,
    cancel,
    frame,
    greeting,
    ping,
    ready,
    resident_bytes,
    subscribe,
    v1_frame,
    wait_until,
)  # fmt: skip
from tests.support import Task

ROOT = Path(__file__).resolve().parents[2]
BODY = b"x" * 10000
SLACK_BYTES = 48 << 20  # what resident memory may grow by: kernel buffers are not in it, queues of 10 kB messages are


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def address_space_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


# --- peers that announce much ---------------------------------------------------------------------------------------


def long_head(size: int) -> bytes:
    return bytes([2]) + size.to_bytes(8, "big")


@pytest.mark.parametrize("version", [1, 3])
def test_an_announced_length_claims_no_memory(rig: Rig, version: int) -> None:
    """A gigabyte each, of which nothing comes: neither memory nor addresses are taken for it."""
    pull, endpoint = rig.bind("PULL")
    peers = [rig.peer(endpoint) for _ in range(8)]
    for peer in peers:
        if version == 1:
            peer.handshake_v1()
            peer.send(v1_frame(b"hello"))
        else:
            peer.handshake("PUSH")
            peer.send(frame(b"hello"))
        assert pull.recv() == b"hello"
    before = address_space_bytes()
    for peer in peers:
        size = 1 << 30
        peer.send((b"\xff" + size.to_bytes(8, "big") + b"\0" if version == 1 else long_head(size)) + b"first bytes")
    for _ in range(3):  # a turn for every peer, more than once
        peer = rig.peer(endpoint)
        peer.handshake("PUSH")
        peer.send(frame(b"good"))
        assert pull.recv() == b"good"
    assert address_space_bytes() - before < 512 << 20


@pytest.mark.parametrize("size", [1 << 63, (1 << 63) - 1, (1 << 64) - 1, (1 << 64) - 9, (1 << 48) + 1])
@pytest.mark.parametrize("is_command", [False, True])
def test_a_length_that_cannot_be_closes_the_connection(rig: Rig, size: int, is_command: bool) -> None:
    pull, endpoint = rig.bind("PULL")
    good, bad = rig.peer(endpoint), rig.peer(endpoint)
    for peer in (good, bad):
        peer.handshake("PUSH")
    bad.send(frame(b"whole") + bytes([6 if is_command else 2]) + size.to_bytes(8, "big"))
    bad.expect_close()
    good.send(frame(b"good"))
    assert sorted([pull.recv(), pull.recv()]) == [b"good", b"whole"]


@pytest.mark.parametrize("size", [1 << 63, (1 << 63) - 1, (1 << 64) - 1, (1 << 48) + 2])
def test_a_length_of_v1_that_cannot_be_closes_the_connection(rig: Rig, size: int) -> None:
    pull, endpoint = rig.bind("PULL")
    bad = rig.peer(endpoint)
    bad.handshake_v1()
    bad.send(v1_frame(b"whole") + b"\xff" + size.to_bytes(8, "big") + b"\0")
    bad.expect_close()
    assert pull.recv() == b"whole"


def test_a_body_of_many_megabytes_arrives(rig: Rig) -> None:
    pull, endpoint = rig.bind("PULL", RCVTIMEO=20000)
    for version in (1, 3):
        peer = rig.peer(endpoint)
        body = os.urandom(1 << 20) * 12
        if version == 1:
            peer.handshake_v1()
        else:
            peer.handshake("PUSH")
        sender = Task(peer.send, v1_frame(body) if version == 1 else frame(body))
        assert pull.recv() == body
        sender.join()


# --- peers that never read -----------------------------------------------------------------------------------------


def test_push_to_a_peer_that_never_reads(rig: Rig) -> None:
    """Sender: SNDHWM messages in the pipe, then the kernel buffers, then EAGAIN."""
    push, endpoint = rig.bind("PUSH", SNDHWM=10, SNDBUF=4096)
    peer = rig.peer(endpoint, rcvbuf_bytes=4096)
    peer.handshake("PULL")
    before = resident_bytes()
    push.send(BODY)
    count = 1
    push.setsockopt(rig.zmq.SNDTIMEO, 50)
    with contextlib.suppress(rig.zmq.Again):
        while count < 1000:
            push.send(BODY)
            count += 1
    assert 10 <= count < 1000
    assert resident_bytes() - before < SLACK_BYTES
    push.setsockopt(rig.zmq.SNDTIMEO, 10000)
    for _ in range(count):
        assert peer.read_message() == [BODY]
    push.send(b"room again")
    assert peer.read_message() == [b"room again"]


@pytest.mark.parametrize("socket_type", ["PUB", "XPUB", "ROUTER"])
def test_droppers_drop(rig: Rig, socket_type: str) -> None:
    """PUB, XPUB and ROUTER drop for a full peer, never block, and serve the others."""
    sock, endpoint = rig.bind(socket_type, SNDHWM=10, SNDBUF=4096, SNDTIMEO=5000)
    slow, good = rig.peer(endpoint, rcvbuf_bytes=4096), rig.peer(endpoint)
    before = resident_bytes()
    for peer, name in ((slow, b"slow"), (good, b"good")):
        if socket_type == "ROUTER":
            peer.handshake("DEALER", name)
            peer.send(frame(b"hello"))
            assert sock.recv_multipart() == [name, b"hello"]
        else:
            peer.handshake("SUB")
            peer.send(subscribe(b""))
            rig.settle(sock, peer)
    for i in range(3000):
        if socket_type == "ROUTER":
            sock.send_multipart([b"slow", b"%d" % i, BODY])
        else:
            sock.send_multipart([b"%d" % i, BODY])
            sock.getsockopt(rig.zmq.EVENTS)  # lets libzmq notice that the good peer has room again
            assert good.read_message() == [b"%d" % i, BODY]
    assert resident_bytes() - before < SLACK_BYTES
    if socket_type == "ROUTER":
        sock.send_multipart([b"good", b"still"])
        assert good.read_message() == [b"still"]
    got: list[int] = []
    while slow.has_bytes(2) or len(got) < 10:
        first, body = slow.read_message()
        assert body == BODY
        got.append(int(first))
    assert got == sorted(set(got))
    assert len(got) < 3000


def test_rep_to_a_peer_that_never_reads(rig: Rig) -> None:
    """REP never blocks on a reply: a full pipe drops it."""
    rep, endpoint = rig.bind("REP", SNDHWM=2, SNDBUF=4096, SNDTIMEO=5000)
    slow, good = rig.peer(endpoint, rcvbuf_bytes=4096), rig.peer(endpoint)
    slow.handshake("DEALER")
    good.handshake("REQ")
    before = resident_bytes()
    for _ in range(300):
        slow.send(b"\x01\x00\x00\x01q")
        assert rep.recv() == b"q"
        rep.send(BODY * 10)
    assert resident_bytes() - before < SLACK_BYTES
    good.send(b"\x01\x00\x00\x01g")
    assert rep.recv() == b"g"
    rep.send(b"reply")
    assert good.read_message() == [b"", b"reply"]


def test_pings_of_a_peer_that_never_reads(rig: Rig) -> None:
    """PONGs that nobody reads do not pile up without bound."""
    dealer, endpoint = rig.bind("DEALER", SNDBUF=4096)
    flood, good = rig.peer(endpoint, rcvbuf_bytes=4096), rig.peer(endpoint)
    flood.handshake("DEALER")
    good.handshake("DEALER")
    before = resident_bytes()
    pings = ping(0, b"c" * 16) * 10000
    for _ in range(200):
        try:
            if flood.send_some(pings, 0.05) < len(pings):
                break
        except (BrokenPipeError, ConnectionResetError):
            break
    good.send(frame(b"hello"))
    assert dealer.recv() == b"hello"
    assert resident_bytes() - before < SLACK_BYTES


# --- sockets that nobody receives from -----------------------------------------------------------------------------


@pytest.mark.parametrize("body", [BODY, b"x" * 100], ids=["10 kB", "100 B"])
def test_flood_of_an_idle_receiver(rig: Rig, body: bytes) -> None:
    """RCVHWM bounds what is read for an application that does not receive; the rest waits in the peer."""
    pull, endpoint = rig.bind("PULL", RCVHWM=10, RCVBUF=4096)
    peer = rig.peer(endpoint)
    peer.handshake("PUSH")
    before = resident_bytes()
    taken = 0
    chunk = frame(body) * (1 << 20 // len(body))
    while taken < 256 << 20:
        sent = peer.send_some(chunk, 0.1)
        taken += sent
        if sent < len(chunk):
            break
    assert taken < 32 << 20
    assert resident_bytes() - before < SLACK_BYTES
    for _ in range(taken // len(frame(body))):
        assert pull.recv() == body


def test_flood_beside_a_good_peer(rig: Rig) -> None:
    """One flooding peer does not starve another: fair queueing."""
    pull, endpoint = rig.bind("PULL", RCVHWM=10)
    flood, good = rig.peer(endpoint), rig.peer(endpoint)
    flood.handshake("PUSH")
    good.handshake("PUSH")
    flood.send_some(frame(b"flood") * 100000, 0.05)
    good.send(frame(b"good"))
    good_within = 0
    while pull.recv() != b"good":
        good_within += 1
        assert good_within < 100000, "starved"


def test_user_messages_to_a_publisher(rig: Rig) -> None:
    """A SUB that sends user messages to a PUB, which has no way to receive them, piles nothing up."""
    pub, endpoint = rig.bind("PUB")
    flood, good = rig.peer(endpoint), rig.peer(endpoint)
    flood.handshake("SUB")
    good.handshake("SUB")
    good.send(subscribe(b"A"))
    rig.settle(pub, good)
    before = resident_bytes()
    for _ in range(30):
        if flood.send_some(frame(b"\x02" + BODY) * 200, 0.05) == 0:
            break
        pub.send(b"A")
        assert good.read_message() == [b"A"]
    assert resident_bytes() - before < SLACK_BYTES


def test_subscription_changes_to_an_idle_publisher(rig: Rig) -> None:
    """Notifications for an XPUB user who does not receive are bounded too."""
    xpub, endpoint = rig.bind("XPUB")
    flood = rig.peer(endpoint)
    flood.handshake("SUB")
    before = resident_bytes()
    chunk = b"".join(subscribe(b"%04d" % i) + cancel(b"%04d" % i) for i in range(10000))
    for _ in range(100):
        if flood.send_some(chunk, 0.1) < len(chunk):
            break
    assert resident_bytes() - before < SLACK_BYTES
    assert xpub.recv() == b"\x010000"


# --- descriptors ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", [RawPeer.close, RawPeer.reset])
@pytest.mark.parametrize("stage", ["connected", "greeted", "ready", "mid message", "refused"])
def test_accepted_connections_leave_no_fds(rig: Rig, stage: str, end: Callable[[RawPeer], None]) -> None:
    """200 connects and disconnects in a row, ended at each stage, leave no descriptor behind."""
    pull, endpoint = rig.bind("PULL", BACKLOG=1000)
    good = rig.peer(endpoint)
    good.handshake("PUSH")
    good.send(frame(b"first"))
    assert pull.recv() == b"first"
    before = open_fds()
    for _ in range(200):
        peer = RawPeer.connect(endpoint)
        if stage == "greeted":
            peer.send(greeting())
        elif stage == "ready":
            peer.handshake("PUSH")
        elif stage == "mid message":
            peer.handshake("PUSH")
            peer.send(frame(b"begun", more=True) + b"\x00\x09half")
        elif stage == "refused":
            peer.greet()
            peer.send(ready("SUB"))
        end(peer)
    wait_until(lambda: pull.getsockopt(rig.zmq.EVENTS) == 0 and open_fds() <= before, "descriptors closed")
    good.send(frame(b"last"))
    assert pull.recv() == b"last"


def test_outgoing_connections_leave_no_fds(rig: Rig) -> None:
    """200 reconnects leave no descriptor behind."""
    dealer, listener = rig.connecting("DEALER", RECONNECT_IVL=1)
    listener.accept().close()
    before = open_fds()
    for i in range(200):
        with listener.accept() as peer:
            if i % 2:
                peer.send(greeting())
        listener.accepted.clear()
    peer = listener.accept()
    peer.handshake("DEALER")
    wait_until(lambda: open_fds() <= before + 2, "descriptors closed")
    dealer.send(b"hello")
    assert peer.read_message() == [b"hello"]


def test_sockets_leave_no_fds(rig: Rig) -> None:
    """100 sockets, each with a connection, opened and closed."""
    listener = rig.listen()

    def open_and_close() -> None:
        sock = rig.context.socket(rig.zmq.PUSH)
        sock.setsockopt(rig.zmq.LINGER, 0)
        sock.connect(listener.endpoint)
        with listener.accept() as peer:
            peer.handshake("PULL")
            sock.send(b"hello")
            assert peer.read_message() == [b"hello"]
            sock.close()
            peer.read_to_close()
        listener.accepted.clear()

    open_and_close()
    before = open_fds()
    for _ in range(100):
        open_and_close()
    wait_until(lambda: open_fds() <= before, "descriptors closed")


NO_FDS = """
import importlib, os, resource, sys, time
from tests.raw_peer import Rig
zmq = importlib.import_module(sys.argv[1])
with Rig(zmq) as rig:
    pull, endpoint = rig.bind("PULL")
    resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    held = []
    try:
        while True:
            held.append(os.dup(0))
    except OSError:
        pass
    print(endpoint, flush=True)
    sys.stdin.readline()
    before = time.process_time()
    assert not pull.poll(400)
    print(time.process_time() - before, flush=True)
    for fd in held:
        os.close(fd)
    print(pull.recv().decode(), flush=True)
    sys.stdin.readline()
"""


def run_out_of_fds(zmq_name: str, rig: Rig) -> float:
    """A process that has no descriptor left is connected to, and later frees some; CPU seconds it took meanwhile."""
    with subprocess.Popen(
        [sys.executable, "-c", NO_FDS, zmq_name], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        peer = rig.peer(process.stdout.readline().strip())
        print(file=process.stdin, flush=True)
        cpu_s = float(process.stdout.readline())
        peer.handshake("PUSH")
        peer.send(frame(b"served after all"))
        assert process.stdout.readline() == "served after all\n"
        process.communicate("\n", timeout=10)
        assert process.returncode == 0
    return cpu_s


def test_recovers_from_running_out_of_fds(rig: Rig) -> None:
    """EMFILE at accept: the peer waits in the backlog, and is served when there are descriptors again."""
    run_out_of_fds(rig.zmq.__name__, rig)


@pytest.mark.unlike_libzmq
def test_running_out_of_fds_does_not_spin(rig: Rig) -> None:
    """While there are none, the process sleeps between its attempts (libzmq spins)."""
    assert run_out_of_fds(rig.zmq.__name__, rig) < 0.15
