"""bind, connect, unbind, disconnect: texts that are refused, and with which errno."""

from __future__ import annotations

import errno
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets, inproc, type_name

BAD_FOR_BOTH = [
    ("", errno.EINVAL),
    ("no scheme", errno.EINVAL),
    ("tcp:", errno.EINVAL),
    ("tcp://", errno.EINVAL),
    ("://127.0.0.1:5555", errno.EINVAL),
    ("inproc://", errno.EINVAL),
    ("ipc://@", errno.EINVAL),
    ("foo://bar", errno.EPROTONOSUPPORT),
    ("TCP://127.0.0.1:*", errno.EPROTONOSUPPORT),
    ("tcp://127.0.0.1", errno.EINVAL),
    ("tcp://127.0.0.1:", errno.EINVAL),
    ("tcp://127.0.0.1:port", errno.EINVAL),
]
BAD_TO_BIND = [
    ("tcp://no-such-interface:5555", errno.ENODEV),
    ("tcp://192.0.2.1:5555", errno.EADDRNOTAVAIL),
    ("tcp://127.0.0.1:65536", errno.EINVAL),
    ("tcp://[::1]:5555", errno.ENODEV),
    ("ipc:///no/such/directory/socket", errno.ENOENT),
]
BAD_TO_CONNECT = [
    ("tcp://127.0.0.1:*", errno.EINVAL),
    ("tcp://127.0.0.1:5555/path", errno.EINVAL),
]


def assert_refused(zmq: ModuleType, number: int, call: Any, endpoint: Any) -> str:
    with pytest.raises(zmq.ZMQError) as caught:
        call(endpoint)
    assert caught.value.errno == number
    return str(caught.value)


@pytest.mark.parametrize(("endpoint", "number"), BAD_FOR_BOTH + BAD_TO_BIND)
def test_what_cannot_be_bound(zmq: ModuleType, sockets: Sockets, endpoint: str, number: int) -> None:
    socket = sockets("DEALER")
    text = assert_refused(zmq, number, socket.bind, endpoint)
    assert text.endswith(f"(addr={endpoint!r})")
    assert socket.last_endpoint == b""


@pytest.mark.parametrize(("endpoint", "number"), BAD_FOR_BOTH)
def test_endpoints_as_bytes(zmq: ModuleType, sockets: Sockets, endpoint: str, number: int) -> None:
    socket = sockets("DEALER")
    for call in (socket.bind, socket.connect):
        assert_refused(zmq, number, call, endpoint.encode())


@pytest.mark.parametrize(("endpoint", "number"), BAD_FOR_BOTH + BAD_TO_CONNECT)
def test_what_cannot_be_connected(zmq: ModuleType, sockets: Sockets, endpoint: str, number: int) -> None:
    socket = sockets("DEALER")
    text = assert_refused(zmq, number, socket.connect, endpoint)
    assert text.endswith(f"(addr={endpoint!r})")
    assert socket.last_endpoint == b""


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:65537", "tcp://127.0.0.1:-1", "tcp://127.0.0.1:12x45"])
def test_ports_that_libzmq_cuts(core_sockets: Sockets, endpoint: str) -> None:
    assert_refused(core_sockets.zmq, errno.EINVAL, core_sockets("DEALER").bind, endpoint)


def test_a_zero_byte_is_no_part_of_an_endpoint(core_sockets: Sockets) -> None:
    # pyzmq cuts the text there.
    socket = core_sockets("DEALER")
    for call in (socket.bind, socket.connect, socket.unbind, socket.disconnect):
        with pytest.raises((core_sockets.zmq.ZMQError, ValueError)):
            call("inproc://a\0b")


@pytest.mark.parametrize("endpoint", [5, None, bytearray(b"tcp://127.0.0.1:*"), ["tcp://127.0.0.1:*"]], ids=type_name)
def test_endpoints_are_text(zmq: ModuleType, sockets: Sockets, endpoint: Any) -> None:
    socket = sockets("DEALER")
    for call in (socket.bind, socket.connect, socket.unbind, socket.disconnect):
        with pytest.raises(TypeError):
            call(endpoint)


def test_the_longest_ipc_path(zmq: ModuleType, sockets: Sockets, tmp_path: Path) -> None:
    room = zmq.IPC_PATH_MAX_LEN - len(str(tmp_path)) - 1
    assert room > 0
    socket = sockets("DEALER")
    assert_refused(zmq, errno.ENAMETOOLONG, socket.bind, f"ipc://{tmp_path}/{'x' * (room + 1)}")
    assert_refused(zmq, errno.ENAMETOOLONG, socket.connect, f"ipc://{tmp_path}/{'x' * (room + 1)}")
    socket.bind(f"ipc://{tmp_path}/{'x' * room}")


# A second ipc listener takes the path over, so ipc is not here.
@pytest.mark.parametrize("transport", ["tcp", "inproc"])
def test_taken(zmq: ModuleType, sockets: Sockets, transport: str) -> None:
    first, second = sockets("DEALER"), sockets("DEALER")
    first.bind("tcp://127.0.0.1:*" if transport == "tcp" else inproc())
    endpoint = first.last_endpoint.decode()
    assert_refused(zmq, errno.EADDRINUSE, second.bind, endpoint)
    assert_refused(zmq, errno.EADDRINUSE, first.bind, endpoint)


@pytest.mark.parametrize(
    ("endpoint", "number"),
    [
        ("tcp://127.0.0.1:9", errno.ENOENT),
        ("inproc://never-heard-of-it", errno.ENOENT),
        ("no scheme", errno.EINVAL),
        ("", errno.EINVAL),
        ("foo://bar", errno.EPROTONOSUPPORT),
    ],
)
def test_what_was_never_there_cannot_be_undone(
    zmq: ModuleType, sockets: Sockets, endpoint: str, number: int
) -> None:
    socket = sockets("DEALER")
    assert_refused(zmq, number, socket.unbind, endpoint)
    assert_refused(zmq, number, socket.disconnect, endpoint)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_undone_once(zmq: ModuleType, sockets: Sockets, tmp_path: Path, transport: str) -> None:
    binder, connector = sockets("DEALER"), sockets("DEALER")
    wildcards = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/s", "inproc": inproc()}
    endpoint = sockets.join(binder, connector, wildcards[transport])
    connector.disconnect(endpoint)
    assert_refused(zmq, errno.ENOENT, connector.disconnect, endpoint)
    binder.unbind(endpoint)
    assert_refused(zmq, errno.ENOENT, binder.unbind, endpoint)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_undone_by_the_other_call(zmq: ModuleType, sockets: Sockets, tmp_path: Path, transport: str) -> None:
    """To libzmq unbind and disconnect are the same, and programs take one for the other."""
    binder, connector = sockets("DEALER"), sockets("DEALER")
    wildcards = {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/s", "inproc": inproc()}
    endpoint = sockets.join(binder, connector, wildcards[transport])
    connector.unbind(endpoint)
    assert_refused(zmq, errno.ENOENT, connector.unbind, endpoint)
    binder.disconnect(endpoint)
    assert_refused(zmq, errno.ENOENT, binder.disconnect, endpoint)


@pytest.mark.parametrize("transport", ["tcp", "ipc", "inproc"])
def test_of_both_kinds_each_call_undoes_its_own(
    core: ModuleType, core_sockets: Sockets, tmp_path: Path, transport: str
) -> None:
    """A socket that is bound and connected to one endpoint (libzmq: one call undoes both, but for inproc)."""
    socket, wildcards = core_sockets("ROUTER"), {"tcp": "tcp://127.0.0.1:*", "ipc": f"ipc://{tmp_path}/s"}
    endpoint = core_sockets.join(socket, socket, wildcards.get(transport, inproc()))
    socket.disconnect(endpoint)
    socket.unbind(endpoint)
    assert_refused(core, errno.ENOENT, socket.unbind, endpoint)


@pytest.mark.parametrize("verb", ["unbind", "disconnect"])
def test_connections_to_one_endpoint_end_together(zmq: ModuleType, sockets: Sockets, verb: str) -> None:
    socket = sockets("PUSH")
    socket.connect("tcp://127.0.0.1:9")
    socket.connect("tcp://127.0.0.1:9")
    getattr(socket, verb)("tcp://127.0.0.1:9")
    assert_refused(zmq, errno.ENOENT, getattr(socket, verb), "tcp://127.0.0.1:9")


NAMES = [
    ("tcp://127.0.0.1:{}", "tcp://localhost:{}", True),
    ("tcp://127.0.0.1:{}", "tcp://127.1:{}", True),
    ("tcp://localhost:{}", "tcp://localhost:{}", True),
    ("tcp://localhost:{}", "tcp://127.0.0.1:{}", False),
    ("tcp://127.0.0.1:{}", "tcp://127.0.0.2:{}", False),
    ("tcp://127.0.0.1:0;127.0.0.1:{}", "tcp://127.0.0.1:0;127.0.0.1:{}", True),
    ("tcp://127.0.0.1:0;127.0.0.1:{}", "tcp://127.0.0.1:{}", False),
]


@pytest.mark.parametrize(("given", "name", "is_known"), NAMES)
def test_names_of_a_connection(zmq: ModuleType, sockets: Sockets, given: str, name: str, is_known: bool) -> None:
    """The text that was given to connect; and whatever stands for that text, when it is in figures."""
    socket = sockets("PUSH")
    socket.connect(given.format(9))
    assert socket.last_endpoint.decode() == given.format(9)
    if is_known:
        socket.disconnect(name.format(9))
    else:
        assert_refused(zmq, errno.ENOENT, socket.disconnect, name.format(9))


@pytest.mark.parametrize("wildcard", ["tcp://*:*", "tcp://127.0.0.1:*", "ipc://*", "ipc://./no-such-name"])
def test_a_wildcard_is_no_name(
    zmq: ModuleType, sockets: Sockets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wildcard: str
) -> None:
    monkeypatch.chdir(tmp_path)
    socket = sockets("PUSH")
    socket.bind(wildcard.replace("no-such-name", "s"))
    assert_refused(zmq, errno.ENOENT, socket.unbind, wildcard)
    socket.unbind(socket.last_endpoint.decode())


@pytest.mark.parametrize("verb", ["unbind", "disconnect"])
@pytest.mark.parametrize(
    "endpoint",
    ["tcp://127.0.0.1", "tcp://127.0.0.1:port", "tcp://127.0.0.1:0", "tcp://127.0.0.1:99999", "tcp://*:*", "tcp://:1"],
)
def test_addresses_that_cannot_be_are_not_found(zmq: ModuleType, sockets: Sockets, endpoint: str, verb: str) -> None:
    assert_refused(zmq, errno.ENOENT, getattr(sockets("PUSH"), verb), endpoint)


def test_the_last_endpoint(zmq: ModuleType, sockets: Sockets, tmp_path: Path) -> None:
    socket = sockets("DEALER")
    socket.bind(b"tcp://127.0.0.1:*")
    assert socket.last_endpoint.startswith(b"tcp://127.0.0.1:")
    assert int(socket.last_endpoint.rpartition(b":")[2]) > 0
    socket.bind(f"ipc://{tmp_path}/s")
    assert socket.get_string(zmq.LAST_ENDPOINT) == f"ipc://{tmp_path}/s"
    socket.connect("tcp://127.0.0.1:9")
    assert socket.last_endpoint == b"tcp://127.0.0.1:9"
    socket.disconnect("tcp://127.0.0.1:9")
    assert_refused(zmq, errno.EINVAL, socket.bind, "nonsense")
    assert socket.last_endpoint == b"tcp://127.0.0.1:9"


def test_bound_for_a_while(zmq: ModuleType, sockets: Sockets) -> None:
    socket = sockets("REP")
    with socket.bind("tcp://127.0.0.1:*") as same:
        assert same is socket
        endpoint = socket.last_endpoint.decode()
        other = sockets("REQ")
        other.connect(endpoint)
        other.send(b"there?")
        assert socket.recv() == b"there?"
    assert_refused(zmq, errno.ENOENT, socket.unbind, endpoint)


def test_connected_for_a_while(zmq: ModuleType, sockets: Sockets) -> None:
    binder, connector = sockets("PULL"), sockets("PUSH")
    binder.bind("tcp://127.0.0.1:*")
    endpoint = binder.last_endpoint.decode()
    with connector.connect(endpoint) as same:
        assert same is connector
        connector.send(b"there?")
        assert binder.recv() == b"there?"
    assert_refused(zmq, errno.ENOENT, connector.disconnect, endpoint)


def test_closed_in_between(sockets: Sockets) -> None:
    socket = sockets("REP")
    with socket.bind("tcp://127.0.0.1:*"), socket.connect(inproc()):
        socket.close()


def test_random_ports(zmq: ModuleType, sockets: Sockets) -> None:
    sockets_made = [sockets("REP") for _ in range(5)]
    ports = [socket.bind_to_random_port("tcp://127.0.0.1") for socket in sockets_made]
    assert len(set(ports)) == 5
    assert sockets_made[0].last_endpoint == b"tcp://127.0.0.1:%d" % ports[0]


def test_random_ports_of_a_range(zmq: ModuleType, sockets: Sockets) -> None:
    first = sockets("REP")
    port = first.bind_to_random_port("tcp://127.0.0.1")
    with pytest.raises(zmq.ZMQBindError):
        sockets("REP").bind_to_random_port("tcp://127.0.0.1", port, port + 1, max_tries=3)
    with pytest.raises(zmq.ZMQBindError):
        sockets("REP").bind_to_random_port("tcp://127.0.0.1", 20000, 20100, max_tries=0)
    with pytest.raises(ValueError):
        sockets("REP").bind_to_random_port("tcp://127.0.0.1", 5, 5)
    found = sockets("REP").bind_to_random_port("tcp://127.0.0.1", min_port=20000, max_port=30000)
    assert 20000 <= found < 30000
    with pytest.raises(zmq.ZMQError) as caught:
        sockets("REP").bind_to_random_port("foo://bar", 20000, 30000)
    assert caught.value.errno == errno.EPROTONOSUPPORT
