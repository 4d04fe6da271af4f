"""Passwords and keys are wiped when they are let go of: no copy is left in the memory of the process that had them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.raw_peer import DEADLINE_S, RawListener, RawPeer, Rig, command, prop, wait_until

ROOT = Path(__file__).resolve().parents[2]
WRITABLE = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")
# free() of glibc writes its links over the head of a block, so a copy that was not wiped is known by what follows.
FREED_BYTES = 16

# No memory of ours is that large; the shadow that a sanitizer keeps of it is.
SHADOW_BYTES = 1 << 32

pytestmark = [
    pytest.mark.unlike_libzmq,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/PID/mem"),
]

# The password comes over the wire and is looked at by nobody: what is found of it is a copy of the engine's.
SERVER = """
import sys, zmqcore as zmq
context = zmq.Context()
handler, sock = context.socket(zmq.ROUTER), context.socket(zmq.PULL)
handler.bind("inproc://zeromq.zap.01")
sock.plain_server = 1
sock.bind("tcp://127.0.0.1:*")
print(sock.last_endpoint.decode(), flush=True)
part = bytearray(64)
for line in sys.stdin:
    peer = handler.recv()
    while handler.rcvmore:
        handler.recv_into(part)
    part[:] = bytes(64)
    handler.send_multipart([peer, b"", b"1.0", b"1", line.strip().encode(), b"", b"", b""])
    print("answered", flush=True)
"""

# The password comes from elsewhere here too, and Python's own copy is overwritten.
CLIENT = """
import ctypes, os, sys, zmqcore as zmq
context = zmq.Context()
sock = context.socket(zmq.PUSH)
sock.linger = 0
print("ready", flush=True)
word = os.read(0, 64)
sock.plain_username = b"admin"
sock.plain_password = word
ctypes.memset(id(word) + bytes.__basicsize__ - 1, 0, 64)
sock.connect(sys.argv[1])
print("connecting", flush=True)
os.read(0, 1)
sock.close()
del sock
print("closed", flush=True)
os.read(0, 1)
"""

# The first two inputs are secrets for the option, 32 bytes each; Python's copies are overwritten.
SETTER = """
import ctypes, os, sys, zmqcore as zmq
context = zmq.Context()
sock = context.socket(zmq.PUSH)
sock.linger = 0
print("ready", flush=True)
for step in "set", "set anew":
    word = os.read(0, 32)
    setattr(sock, sys.argv[2], word)
    ctypes.memset(id(word) + bytes.__basicsize__ - 1, 0, 32)
    print(step, flush=True)
os.read(0, 1)
sock.connect(sys.argv[1])
print("connecting", flush=True)
os.read(0, 1)
sock.close()
del sock
print("closed", flush=True)
os.read(0, 1)
"""


def copies(pid: int, secret: bytes) -> int:
    """How often it stands in the memory that the process can write to."""
    count = 0
    tail = secret[FREED_BYTES:]
    assert len(tail) >= 8
    with open(f"/proc/{pid}/maps") as maps, open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for match in filter(None, map(WRITABLE.match, maps)):
            first, last = (int(text, 16) for text in match.groups())
            if last - first >= SHADOW_BYTES:
                continue
            memory.seek(first)
            try:
                count += memory.read(last - first).count(tail)
            except OSError:
                continue
    return count


class Child:
    def __init__(self, rig: Rig, text: str, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", text, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT, bufsize=0
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.stdin, self.stdout = self.process.stdin, self.process.stdout

    def line(self) -> str:
        return self.stdout.readline().decode().strip()

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: Any) -> None:
        self.process.kill()
        self.process.wait(DEADLINE_S)
        self.stdin.close()
        self.stdout.close()


@pytest.mark.parametrize("status", ["200", "400"])
def test_a_server_keeps_no_password(rig: Rig, status: str) -> None:
    password = b"the-password-of-somebody-" + status.encode()
    with Child(rig, SERVER) as child:
        endpoint = child.line()
        peer = rig.peer(endpoint)
        peer.greet(b"PLAIN")
        peer.send(command(b"HELLO", b"\x05admin" + bytes([len(password)]) + password))
        wait_until(lambda: copies(child.process.pid, password), "the password is there, so that it can be missing")
        child.stdin.write(status.encode() + b"\n")
        assert child.line() == "answered"
        if status == "200":
            assert peer.read_frame().command_name == b"WELCOME"
            peer.send(command(b"INITIATE", prop(b"Socket-Type", b"PUSH")))
            assert peer.read_frame().command_name == b"READY"
        else:
            peer.read_to_close()
        wait_until(lambda: not copies(child.process.pid, password), "no copy of the password")


def handshaken(listener: RawListener, password: bytes) -> RawPeer:
    server = listener.accept()
    server.greet(b"PLAIN")
    assert server.read_frame().command_data.endswith(password)
    server.send(command(b"WELCOME"))
    assert server.read_frame().command_name == b"INITIATE"
    server.send(command(b"READY", prop(b"Socket-Type", b"PULL")))
    return server


def test_a_client_keeps_no_password_behind_its_socket(rig: Rig) -> None:
    """While it may have to connect again it has two copies: the option, and that of the endpoint."""
    password = b"the-password-of-a-client".ljust(64, b".")
    listener = rig.listen()
    with Child(rig, CLIENT, listener.endpoint) as child:
        assert child.line() == "ready"
        child.stdin.write(password)
        assert child.line() == "connecting"
        handshaken(listener, password)
        wait_until(lambda: copies(child.process.pid, password) == 2, "the copies that are needed")
        child.stdin.write(b"x")
        assert child.line() == "closed"
        wait_until(lambda: not copies(child.process.pid, password), "no copy of the password")


@pytest.mark.parametrize("option", ["plain_password", "socks_password", "curve_secretkey"])
def test_a_secret_is_wiped_when_it_is_set_anew_and_with_its_last_endpoint(rig: Rig, option: str) -> None:
    if option.startswith("curve"):
        pytest.importorskip("nacl")
    first, second = (option.ljust(16, ".").encode() + word for word in (b"the-first-secret", b"the-other-secret"))
    listener = rig.listen()
    with Child(rig, SETTER, listener.endpoint, option) as child:
        assert child.line() == "ready"
        child.stdin.write(first)
        assert child.line() == "set"
        assert copies(child.process.pid, first) == 1
        child.stdin.write(second)
        assert child.line() == "set anew"
        assert copies(child.process.pid, first) == 0
        assert copies(child.process.pid, second) == 1
        child.stdin.write(b"x")
        assert child.line() == "connecting"
        assert copies(child.process.pid, second) == 2, "the option, and that of the endpoint"
        child.stdin.write(b"x")
        assert child.line() == "closed"
        wait_until(lambda: not copies(child.process.pid, second), "no copy of the secret")
