"""Options that reach the system: seen on the descriptors of listeners and connections, and at accept.

The monitor tells the descriptors, which belong to this process, so what is set on them can be read.
"""

from __future__ import annotations

import errno
import importlib
import os
import socket as raw_socket
import struct
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets
from tests.support import DEADLINE_S, wait_until

TCP, IP, SOL = raw_socket.IPPROTO_TCP, raw_socket.IPPROTO_IP, raw_socket.SOL_SOCKET
TCP_USER_TIMEOUT = getattr(raw_socket, "TCP_USER_TIMEOUT", 18)
LOOPBACK = "127.0.0.1"


class Watched:
    """A socket with a monitor; `events` reads what happened, as (name, value, endpoint)."""

    def __init__(self, sockets: Sockets, kind: str, **options: Any) -> None:
        self.socket = sockets(kind, **options)
        self._reader = importlib.import_module(
            "zmq.utils.monitor" if sockets.zmq.__name__ == "zmq" else "zmqcore.monitor"
        )
        self._monitor = self.socket.get_monitor_socket()
        self._monitor.rcvtimeo = int(DEADLINE_S * 1000)

    def next_event(self) -> tuple[str, int, bytes]:
        message = self._reader.recv_monitor_message(self._monitor)
        return message["event"].name, int(message["value"]), message["endpoint"]

    def event(self, *names: str) -> tuple[str, int, bytes]:
        """The next event of one of these names."""
        while True:
            found = self.next_event()
            if found[0] in names:
                return found

    def fd(self, name: str) -> int:
        return self.event(name)[1]

    def close(self) -> None:
        self.socket.disable_monitor()
        self.socket.close(0)


@pytest.fixture
def watched(sockets: Sockets) -> Iterator[Any]:
    made: list[Watched] = []

    def make(kind: str, **options: Any) -> Watched:
        made.append(Watched(sockets, kind, **options))
        return made[-1]

    yield make
    for each in made:
        each.close()


def read(fd: int, level: int, option: int) -> int:
    with raw_socket.socket(fileno=os.dup(fd)) as same:
        return same.getsockopt(level, option)


def plain_client(endpoint: str) -> raw_socket.socket:
    """Connects without a word, over tcp or ipc."""
    if endpoint.startswith("ipc://"):
        client = raw_socket.socket(raw_socket.AF_UNIX)
        client.connect(endpoint.removeprefix("ipc://"))
    else:
        host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        client = raw_socket.create_connection((host.strip("[]").removeprefix("::ffff:"), int(port)), DEADLINE_S)
    client.settimeout(DEADLINE_S)
    return client


# Option, value, what getsockopt is asked, what it answers, and on which descriptors.
APPLIED = [
    ({"tcp_keepalive": 1}, SOL, raw_socket.SO_KEEPALIVE, 1, "AC"),
    ({"tcp_keepalive": 0}, SOL, raw_socket.SO_KEEPALIVE, 0, "AC"),
    ({"tcp_keepalive": 1, "tcp_keepalive_cnt": 7}, TCP, raw_socket.TCP_KEEPCNT, 7, "AC"),
    ({"tcp_keepalive": 1, "tcp_keepalive_idle": 77}, TCP, raw_socket.TCP_KEEPIDLE, 77, "AC"),
    ({"tcp_keepalive": 1, "tcp_keepalive_intvl": 9}, TCP, raw_socket.TCP_KEEPINTVL, 9, "AC"),
    ({"tcp_keepalive": 0, "tcp_keepalive_cnt": 7}, TCP, raw_socket.TCP_KEEPCNT, 7, "AC"),
    ({"tos": 0x10}, IP, raw_socket.IP_TOS, 0x10, "LAC"),
    ({"tcp_maxrt": 4321}, TCP, TCP_USER_TIMEOUT, 4321, "AC"),
    ({"rcvbuf": 20000}, SOL, raw_socket.SO_RCVBUF, 40000, "LAC"),
    ({"sndbuf": 20000}, SOL, raw_socket.SO_SNDBUF, 40000, "LAC"),
    ({}, TCP, raw_socket.TCP_NODELAY, 1, "AC"),
]


@pytest.mark.skipif(not hasattr(raw_socket, "TCP_KEEPIDLE"), reason="the system names these options differently")
@pytest.mark.parametrize(("options", "level", "option", "wanted", "where"), APPLIED, ids=lambda value: str(value)[:40])
def test_tcp_options_reach_the_system(
    watched: Any, options: dict[str, int], level: int, option: int, wanted: int, where: str
) -> None:
    server = watched("PULL", **options)
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    client = watched("PUSH", **options)
    client.socket.connect(server.socket.last_endpoint.decode())
    fds = {"L": server.fd("LISTENING"), "A": server.fd("ACCEPTED"), "C": client.fd("CONNECTED")}
    assert {name: read(fds[name], level, option) for name in where} == dict.fromkeys(where, wanted)


def test_keepalive_details_are_left_alone_without_keepalive(watched: Any) -> None:
    """The three need TCP_KEEPALIVE to be something else than -1."""
    server = watched("PULL")
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    client = watched("PUSH", tcp_keepalive_cnt=7)
    client.socket.connect(server.socket.last_endpoint.decode())
    assert read(client.fd("CONNECTED"), TCP, raw_socket.TCP_KEEPCNT) != 7


def test_options_set_later_are_for_the_next_endpoint(watched: Any) -> None:
    """A listener keeps what was set when it was bound, also for the connections that it accepts later."""
    server = watched("PULL", tos=0x10)
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    first = server.socket.last_endpoint.decode()
    server.socket.tos = 0x08
    server.socket.tcp_accept_filter = b"10.0.0.0/8"
    with plain_client(first):
        assert read(server.fd("ACCEPTED"), IP, raw_socket.IP_TOS) == 0x10
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    with plain_client(server.socket.last_endpoint.decode()) as refused:
        assert refused.recv(1) == b""
    with plain_client(first):
        server.fd("ACCEPTED")


# --- the device ------------------------------------------------------------------------------------------------------


def may_bind_to_device() -> bool:
    with raw_socket.socket() as probe:
        try:
            probe.setsockopt(SOL, raw_socket.SO_BINDTODEVICE, b"lo")
        except (OSError, AttributeError):
            return False
    return True


@pytest.mark.skipif(not may_bind_to_device(), reason="the system does not let us")
def test_bindtodevice(zmq: ModuleType, watched: Any) -> None:
    server, client = watched("PULL", bindtodevice=b"lo"), watched("PUSH", bindtodevice=b"lo")
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    client.socket.connect(server.socket.last_endpoint.decode())
    for fd in (server.fd("LISTENING"), client.fd("CONNECTED")):
        with raw_socket.socket(fileno=os.dup(fd)) as same:
            assert same.getsockopt(SOL, raw_socket.SO_BINDTODEVICE, 16).rstrip(b"\0") == b"lo"


def test_a_device_that_is_not_there(zmq: ModuleType, sockets: Sockets) -> None:
    socket = sockets("PULL", bindtodevice=b"nodevice0")
    with pytest.raises(zmq.ZMQError) as caught:
        socket.bind(f"tcp://{LOOPBACK}:*")
    assert caught.value.errno in (errno.ENODEV, errno.EPERM)
    assert socket.last_endpoint == b""


def test_connecting_through_a_device_that_is_not_there_is_tried_again(watched: Any) -> None:
    client = watched("PUSH", bindtodevice=b"nodevice0", reconnect_ivl=10)
    client.socket.connect(f"tcp://{LOOPBACK}:1")
    for _ in range(2):
        client.event("CONNECT_RETRIED")


# --- descriptors of the caller ---------------------------------------------------------------------------------------


def test_use_fd_of_a_tcp_listener(sockets: Sockets) -> None:
    with raw_socket.create_server((LOOPBACK, 0)) as given:
        endpoint = f"tcp://{LOOPBACK}:{given.getsockname()[1]}"
        server = sockets("PULL", use_fd=os.dup(given.fileno()))
        # The text counts for nothing but its scheme.
        server.bind("tcp://127.0.0.9:1")
    assert server.last_endpoint.decode() == endpoint
    client = sockets("PUSH")
    client.connect(endpoint)
    client.send(b"over the given listener")
    assert server.recv() == b"over the given listener"


def test_use_fd_of_an_ipc_listener(sockets: Sockets, tmp_path: Path) -> None:
    path = tmp_path / "given"
    with raw_socket.socket(raw_socket.AF_UNIX) as given:
        given.bind(str(path))
        given.listen()
        server = sockets("PULL", use_fd=os.dup(given.fileno()))
        server.bind("ipc:///ignored")
    assert server.last_endpoint.decode() == f"ipc://{path}"
    client = sockets("PUSH")
    client.connect(f"ipc://{path}")
    client.send(b"over the given listener")
    assert server.recv() == b"over the given listener"
    server.close()
    assert path.exists()


def test_use_fd_means_nothing_to_connect(sockets: Sockets) -> None:
    server = sockets("PULL")
    server.bind(f"tcp://{LOOPBACK}:*")
    endpoint = server.last_endpoint.decode()
    with raw_socket.socket() as other:
        client = sockets("PUSH", use_fd=other.fileno())
        client.connect(endpoint)
        client.send(b"over a socket of its own")
        assert server.recv() == b"over a socket of its own"
        with pytest.raises(OSError) as caught:
            other.getpeername()
        assert caught.value.errno == errno.ENOTCONN


def test_use_fd_is_taken_once(core_sockets: Sockets) -> None:
    """With libzmq a second bind has the same descriptor, and both close it."""
    with raw_socket.create_server((LOOPBACK, 0)) as given:
        server = core_sockets("PULL", use_fd=os.dup(given.fileno()))
        server.bind(f"tcp://{LOOPBACK}:*")
    assert server.use_fd == -1
    server.bind(f"tcp://{LOOPBACK}:*")


# --- the time that connecting may take -------------------------------------------------------------------------------


def full_listener() -> tuple[raw_socket.socket, list[raw_socket.socket]]:
    """A listener whose queue is full: the system leaves further connections waiting."""
    listener = raw_socket.socket()
    listener.bind((LOOPBACK, 0))
    listener.listen(0)
    queued = []
    for _ in range(4):
        client = raw_socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        queued.append(client)
    return listener, queued


def test_connect_timeout(watched: Any) -> None:
    listener, queued = full_listener()
    client = watched("PUSH", connect_timeout=50, reconnect_ivl=10)
    client.socket.connect(f"tcp://{LOOPBACK}:{listener.getsockname()[1]}")
    assert client.event("CONNECT_DELAYED", "CONNECTED")[0] == "CONNECT_DELAYED"
    assert client.event("CLOSED", "CONNECTED")[0] == "CLOSED"
    assert client.event("CONNECT_RETRIED", "CONNECTED")[0] == "CONNECT_RETRIED"
    for each in (listener, *queued):
        each.close()


@pytest.mark.skipif(not hasattr(raw_socket, "TCP_INFO"), reason="the system does not tell")
def test_backlog(watched: Any) -> None:
    server = watched("PULL", backlog=7)
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    with raw_socket.socket(fileno=os.dup(server.fd("LISTENING"))) as same:
        # Of a listener, tcpi_sacked is how many connections may wait.
        info = same.getsockopt(TCP, raw_socket.TCP_INFO, 64)
    assert struct.unpack_from("I", info, 28) == (7,)


# --- who may connect -------------------------------------------------------------------------------------------------

FILTERS = [
    (LOOPBACK, (), True),
    (LOOPBACK, (b"127.0.0.1",), True),
    (LOOPBACK, (b"127.0.0.0/31",), True),
    (LOOPBACK, (b"127.0.0.2/31",), False),
    (LOOPBACK, (b"127.128.0.0/9",), False),
    (LOOPBACK, (b"126.0.0.0/7",), True),
    (LOOPBACK, (b"0.0.0.0/0",), True),
    (LOOPBACK, (b"10.0.0.0/8",), False),
    (LOOPBACK, (b"10.0.0.0/8", b"127.0.0.0/8"), True),
    ("[::1]", (b"::1",), True),
    ("[::1]", (b"::/127",), True),
    ("[::1]", (b"::2",), False),
    ("[::1]", (b"127.0.0.1",), False),
    ("[::ffff:127.0.0.1]", (b"127.0.0.1",), True),
    ("[::ffff:127.0.0.1]", (b"::ffff:127.0.0.1",), True),
    ("[::ffff:127.0.0.1]", (b"::ffff:10.0.0.1",), False),
]


def has_ipv6() -> bool:
    try:
        raw_socket.create_server(("::1", 0), family=raw_socket.AF_INET6).close()
    except OSError:
        return False
    return True


def assert_filtered(server: Watched, is_let_in: bool) -> None:
    endpoint = server.socket.last_endpoint.decode()
    with plain_client(endpoint) as client:
        name, _, told = server.event("ACCEPTED", "ACCEPT_FAILED")
        assert name == ("ACCEPTED" if is_let_in else "ACCEPT_FAILED")
        assert told.decode() == endpoint
        # The signature of the greeting, or the end.
        assert client.recv(1) == (b"\xff" if is_let_in else b"")


@pytest.mark.parametrize(("host", "filters", "is_let_in"), FILTERS)
def test_tcp_accept_filter(watched: Any, host: str, filters: tuple[bytes, ...], is_let_in: bool) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip("no IPv6 here")
    server = watched("PULL", ipv6=int(":" in host))
    for each in filters:
        server.socket.tcp_accept_filter = each
    server.socket.bind(f"tcp://{host}:*")
    assert_filtered(server, is_let_in)


def test_an_ipv4_filter_means_ipv4_on_a_dual_stack_socket(core_sockets: Sockets) -> None:
    """libzmq compares its 8 bits with the zeros in front of the mapped address, and lets everybody in."""
    if not has_ipv6():
        pytest.skip("no IPv6 here")
    server = Watched(core_sockets, "PULL", ipv6=1)
    server.socket.tcp_accept_filter = b"10.0.0.0/8"
    server.socket.bind(f"tcp://{LOOPBACK}:*")
    assert_filtered(server, False)
    server.close()


def nobody(own: int) -> int:
    return own + 12345


IPC_FILTERS = [
    ({"PID": os.getpid()}, True),
    ({"PID": nobody(os.getpid())}, False),
    ({"UID": os.getuid()}, True),
    ({"UID": nobody(os.getuid())}, False),
    ({"GID": os.getgid()}, True),
    ({"GID": nobody(os.getgid())}, False),
    ({"UID": nobody(os.getuid()), "PID": os.getpid()}, True),
    ({"UID": nobody(os.getuid()), "GID": nobody(os.getgid())}, False),
]
# Not the numbers: processes that share the work must find the same names.
FILTER_NAMES = ["-".join(filters) + ("-in" if is_let_in else "-out") for filters, is_let_in in IPC_FILTERS]


@pytest.mark.skipif(not hasattr(raw_socket, "SO_PEERCRED"), reason="the system does not tell the process of a peer")
@pytest.mark.parametrize(("filters", "is_let_in"), IPC_FILTERS, ids=FILTER_NAMES)
def test_ipc_filters(zmq: ModuleType, watched: Any, tmp_path: Path, filters: dict[str, int], is_let_in: bool) -> None:
    server = watched("PULL")
    for name, value in filters.items():
        server.socket.set({"PID": 58, "UID": 59, "GID": 60}[name], value)
    server.socket.bind(f"ipc://{tmp_path}/s")
    assert_filtered(server, is_let_in)


def test_the_wrong_filter_does_not_matter(watched: Any, tmp_path: Path) -> None:
    server = watched("PULL", ipc_filter_uid=nobody(os.getuid()), tcp_accept_filter=b"10.0.0.0/8")
    server.socket.bind(f"ipc://{tmp_path}/s")
    assert_filtered(server, False)
    other = watched("PULL", tcp_accept_filter=b"10.0.0.0/8")
    other.socket.bind(f"ipc://{tmp_path}/t")
    assert_filtered(other, True)


def test_a_flood_of_refused_peers_does_not_keep_others_out(sockets: Sockets, tmp_path: Path) -> None:
    server = sockets("PULL", tcp_accept_filter=b"127.0.0.1")
    server.bind(f"tcp://{LOOPBACK}:*")
    endpoint = server.last_endpoint.decode()
    port = int(endpoint.rpartition(":")[2])
    strangers = []
    for _ in range(50):
        stranger = raw_socket.create_connection((LOOPBACK, port), DEADLINE_S, source_address=("127.0.0.7", 0))
        stranger.settimeout(DEADLINE_S)
        strangers.append(stranger)
    client = sockets("PUSH")
    client.connect(endpoint)
    client.send(b"let in")
    assert server.recv() == b"let in"
    for stranger in strangers:
        assert stranger.recv(1) == b""
        stranger.close()


def test_a_connection_keeps_the_options_of_its_connect(watched: Any) -> None:
    """They hold for the attempts that follow, too."""
    with raw_socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(DEADLINE_S)
        client = watched("PUSH", tos=0x10, reconnect_ivl=10)
        client.socket.connect(f"tcp://{LOOPBACK}:{listener.getsockname()[1]}")
        client.socket.tos = 0x08
        listener.accept()[0].close()
        client.event("DISCONNECTED")
        listener.accept()[0].detach()
        fd = client.fd("CONNECTED")
        assert wait_until(lambda: read(fd, IP, raw_socket.IP_TOS)) == 0x10


# --- schemes that are not there --------------------------------------------------------------------------------------

TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]


@pytest.mark.parametrize("kind", TYPES)
def test_udp_fits_no_type(zmq: ModuleType, sockets: Sockets, kind: str) -> None:
    socket = sockets(kind)
    for call in (socket.bind, socket.connect, socket.unbind, socket.disconnect):
        for text, wanted in (
            ("udp://127.0.0.1:5555", zmq.ENOCOMPATPROTO),
            ("udp://nonsense", zmq.ENOCOMPATPROTO),
            ("udp://", errno.EINVAL),
            ("UDP://127.0.0.1:5555", errno.EPROTONOSUPPORT),
        ):
            with pytest.raises(zmq.ZMQError) as caught:
                call(text)
            assert caught.value.errno == wanted


@pytest.mark.parametrize("scheme", ["pgm", "epgm", "norm", "vmci", "ws", "wss", "vsock", "hvsocket", "other"])
def test_schemes_that_are_not_built_in(zmq: ModuleType, sockets: Sockets, scheme: str) -> None:
    if zmq.has(scheme):
        pytest.skip(f"{scheme} is there")
    socket = sockets("PUB")
    for call in (socket.bind, socket.connect, socket.unbind, socket.disconnect):
        with pytest.raises(zmq.ZMQError) as caught:
            call(f"{scheme}://127.0.0.1:5555")
        assert caught.value.errno == errno.EPROTONOSUPPORT
