"""Socket options: defaults, what they take, what they refuse. An option is a row."""

from __future__ import annotations

import errno
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest

from tests.api.helpers import Sockets

INT_MAX = 2**31 - 1


@dataclass(frozen=True)
class Row:
    """An option that can be read and set. A pair in `good` is what is set and what is then read."""

    name: str
    default: Any
    good: tuple[Any, ...]
    bad: tuple[Any, ...] = ()
    kind: str = "DEALER"

    def __str__(self) -> str:
        return self.name


ROWS = [
    Row("AFFINITY", 0, (1, 3, -1, 0)),
    Row("BACKLOG", 100, (0, 1), (-1,)),
    Row("BINDTODEVICE", b"", (b"lo", b"x" * 16), (b"x" * 17,)),
    Row("CONFLATE", 0, (1, 0), (2, -1)),
    Row("CONNECT_TIMEOUT", 0, (5, 0), (-1,)),
    Row("CURVE_SERVER", 0, (1, 0), (2, -1)),
    Row("HANDSHAKE_IVL", 30000, (0, 5), (-1,)),
    Row("HEARTBEAT_IVL", 0, (5, 0), (-1,)),
    Row("HEARTBEAT_TIMEOUT", -1, (0, 5), (-1,)),
    Row("HEARTBEAT_TTL", 0, ((100, 100), (250, 200), (99, 0), (6553599, 6553500)), (6553600, -100)),
    Row("IDENTITY", b"", (b"alias", b"\0x"), (b"",)),
    Row("IMMEDIATE", 0, (1, 0), (2, -1)),
    Row("INVERT_MATCHING", 0, ((5, 1), (0, 0)), kind="PUB"),
    Row("IPV4ONLY", 1, (0, 1), (2, -1)),
    Row("IPV6", 0, (1, 0), (2, -1)),
    Row("LINGER", -1, (0, 5, INT_MAX, -1), (-2,)),
    Row("LOOPBACK_FASTPATH", 0, (1,)),
    Row("MAXMSGSIZE", -1, (0, 2**40, -1)),
    Row("MULTICAST_HOPS", 1, (1, 5), (0, -1)),
    Row("MULTICAST_LOOP", 1, (0, 1)),
    Row("MULTICAST_MAXTPDU", 1500, (1,), (0, -1)),
    Row("PLAIN_PASSWORD", b"", (b"word", b"w" * 254), (b"", b"w" * 256)),
    Row("PLAIN_SERVER", 0, (1, 0), (2, -1)),
    Row("PLAIN_USERNAME", b"", (b"name", b"n" * 254), (b"", b"n" * 256)),
    Row("RATE", 100, (1,), (0, -1)),
    Row("RCVBUF", -1, (0, 4096, -1), (-2,)),
    Row("RCVHWM", 1000, (0, 1, INT_MAX), (-1,)),
    Row("RCVTIMEO", -1, (0, 7, -1), (-2,)),
    Row("RECONNECT_IVL", 100, (0, 5, -1), (-2,)),
    Row("RECONNECT_IVL_MAX", 0, (500, 0), (-1,)),
    Row("RECONNECT_STOP", 0, (3, 0)),
    Row("RECOVERY_IVL", 10000, (0,), (-1,)),
    Row("ROUTING_ID", b"", (b"a", b"\0abc", b"x" * 255), (b"", b"x" * 256)),
    Row("SNDBUF", -1, (0, 4096, -1), (-2,)),
    Row("SNDHWM", 1000, (0, 1, INT_MAX), (-1,)),
    Row("SNDTIMEO", -1, (0, 7, -1), (-2,)),
    Row("SOCKS_PROXY", b"", (b"127.0.0.1:1080",)),
    Row("TCP_KEEPALIVE", -1, (0, 1, -1), (2, -2)),
    Row("TCP_KEEPALIVE_CNT", -1, (0, 5, -1), (-2,)),
    Row("TCP_KEEPALIVE_IDLE", -1, (0, 5, -1), (-2,)),
    Row("TCP_KEEPALIVE_INTVL", -1, (0, 5, -1), (-2,)),
    Row("TCP_MAXRT", 0, (5, 0), (-1,)),
    Row("TOS", 0, (8, 0), (-1,)),
    Row("USE_FD", -1, (-1,), (-2,)),
    Row("ZAP_DOMAIN", b"", (b"global",), (b"", b"x" * 256)),
    Row("ZAP_ENFORCE_DOMAIN", 0, (1, 0)),
]

# Options that can only be set: socket type, name, good values, bad values.
WRITE_ONLY = [
    ("DEALER", "PROBE_ROUTER", (1, 0), (-1,)),
    ("DEALER", "IPC_FILTER_GID", (1, 0), ()),
    ("DEALER", "IPC_FILTER_PID", (1, 0), ()),
    ("DEALER", "IPC_FILTER_UID", (1, 0), ()),
    ("DEALER", "METADATA", (b"X-key:value",), (b"key:value", b"X-key", b"X-key:")),
    ("DEALER", "TCP_ACCEPT_FILTER", (b"127.0.0.1", b"10.0.0.0/8"), (b"nonsense", b"10.0.0.0/33", b"10.0.0.0/")),
    ("REQ", "REQ_CORRELATE", (1, 0), (-1,)),
    ("REQ", "REQ_RELAXED", (1, 0), (-1,)),
    ("ROUTER", "CONNECT_ROUTING_ID", (b"peer",), (b"",)),
    ("ROUTER", "ROUTER_HANDOVER", (1, 0), (-1,)),
    ("ROUTER", "ROUTER_MANDATORY", (1, 5, 0), (-1,)),
    ("SUB", "SUBSCRIBE", (b"", b"topic"), ()),
    ("SUB", "UNSUBSCRIBE", (b"unknown",), ()),
    ("XPUB", "ONLY_FIRST_SUBSCRIBE", (1, 0), (-1,)),
    ("XPUB", "XPUB_MANUAL", (1, 0), (-1,)),
    ("XPUB", "XPUB_NODROP", (1, 0), (-1,)),
    ("XPUB", "XPUB_VERBOSE", (1, 0), (-1,)),
    ("XPUB", "XPUB_VERBOSER", (1, 0), (-1,)),
    ("XPUB", "XPUB_WELCOME_MSG", (b"hello", b""), ()),
]

# Where they are refused, whatever the value.
WRONG_TYPE = [
    ("DEALER", "SUBSCRIBE", b""),
    ("DEALER", "ROUTER_MANDATORY", 1),
    ("DEALER", "REQ_RELAXED", 1),
    ("DEALER", "XPUB_VERBOSE", 1),
    ("DEALER", "CONNECT_ROUTING_ID", b"x"),
    ("PULL", "PROBE_ROUTER", 1),
    ("XPUB", "SUBSCRIBE", b""),
    ("PUB", "UNSUBSCRIBE", b""),
    ("SUB", "XPUB_WELCOME_MSG", b"x"),
    ("DEALER", "BLOCKY", 1),
]

READ_ONLY = [
    ("RCVMORE", 1),
    ("FD", 1),
    ("EVENTS", 1),
    ("TYPE", 1),
    ("LAST_ENDPOINT", b"inproc://x"),
    ("MECHANISM", 0),
    ("THREAD_SAFE", 1),
]

TYPES = ["PAIR", "PUB", "SUB", "REQ", "REP", "DEALER", "ROUTER", "PULL", "PUSH", "XPUB", "XSUB"]


def assert_invalid(zmq: ModuleType, socket: Any, option: int, value: Any) -> None:
    with pytest.raises(zmq.ZMQError) as caught:
        socket.set(option, value)
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_default(zmq: ModuleType, context: Any, row: Row) -> None:
    with context.socket(getattr(zmq, row.kind)) as socket:
        assert socket.get(getattr(zmq, row.name)) == row.default


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_what_is_set_is_read(zmq: ModuleType, context: Any, row: Row) -> None:
    if row.name.startswith("CURVE"):
        pytest.importorskip("nacl")
    option = getattr(zmq, row.name)
    with context.socket(getattr(zmq, row.kind)) as socket:
        for value in row.good:
            given, expected = value if isinstance(value, tuple) else (value, value)
            socket.setsockopt(option, given)
            read = socket.getsockopt(option)
            assert read == expected
            assert type(read) is type(expected)
            # The same by attribute, in capital and in small letters.
            setattr(socket, row.name, given)
            assert getattr(socket, row.name.lower()) == expected


@pytest.mark.parametrize("row", [row for row in ROWS if row.bad], ids=str)
def test_a_bad_value_changes_nothing(zmq: ModuleType, context: Any, row: Row) -> None:
    option = getattr(zmq, row.name)
    with context.socket(getattr(zmq, row.kind)) as socket:
        for value in row.bad:
            assert_invalid(zmq, socket, option, value)
        assert socket.get(option) == row.default


@pytest.mark.parametrize(("kind", "name", "good", "bad"), WRITE_ONLY, ids=lambda value: str(value)[:30])
def test_write_only(
    zmq: ModuleType, context: Any, kind: str, name: str, good: tuple[Any, ...], bad: tuple[Any, ...]
) -> None:
    option = getattr(zmq, name)
    with context.socket(getattr(zmq, kind)) as socket:
        for value in good:
            socket.set(option, value)
            setattr(socket, name.lower(), value)
        for value in bad:
            assert_invalid(zmq, socket, option, value)
        with pytest.raises(zmq.ZMQError) as caught:
            socket.get(option)
        assert caught.value.errno == errno.EINVAL
        if name not in ("SUBSCRIBE", "UNSUBSCRIBE"):
            with pytest.raises(AttributeError):
                getattr(socket, name.lower())


@pytest.mark.parametrize(("kind", "name", "value"), WRONG_TYPE, ids=lambda value: str(value)[:30])
def test_refused_by_other_types(zmq: ModuleType, context: Any, kind: str, name: str, value: Any) -> None:
    with context.socket(getattr(zmq, kind)) as socket:
        assert_invalid(zmq, socket, getattr(zmq, name), value)


@pytest.mark.parametrize(("name", "value"), READ_ONLY)
def test_read_only(zmq: ModuleType, context: Any, name: str, value: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        before = socket.get(getattr(zmq, name))
        assert_invalid(zmq, socket, getattr(zmq, name), value)
        if name != "TYPE":  # the attribute `type` is not the option
            with pytest.raises(zmq.ZMQError):
                setattr(socket, name.lower(), value)
        assert socket.get(getattr(zmq, name)) == before


@pytest.mark.parametrize("kind", TYPES)
def test_what_a_new_socket_tells(zmq: ModuleType, context: Any, kind: str) -> None:
    with context.socket(getattr(zmq, kind)) as socket:
        assert socket.get(zmq.TYPE) == getattr(zmq, kind)
        assert socket.type is getattr(zmq, kind)
        assert socket.linger == (0 if kind in ("SUB", "XSUB") else -1)
        assert socket.events == (zmq.POLLOUT if kind in ("PUB", "XPUB", "XSUB", "ROUTER") else 0)
        assert socket.last_endpoint == b""
        assert (socket.rcvmore, socket.thread_safe, socket.mechanism) == (0, 0, zmq.NULL)
        assert socket.fileno() == socket.FD >= 0


CURVE_KEYS = ["CURVE_PUBLICKEY", "CURVE_SECRETKEY", "CURVE_SERVERKEY"]
KEY = b"rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7"


@pytest.mark.parametrize("name", CURVE_KEYS)
def test_curve_keys(zmq: ModuleType, context: Any, name: str) -> None:
    pytest.importorskip("nacl")
    option = getattr(zmq, name)
    with context.socket(zmq.DEALER) as socket:
        socket.set(option, KEY)
        assert socket.mechanism == zmq.CURVE
        for value in (b"", KEY[:39], KEY[:39] + b" ", KEY + b"x", KEY + b"xx"):
            assert_invalid(zmq, socket, option, value)
        socket.set(option, bytes(32))
        socket.plain_server = 1
        assert socket.mechanism == zmq.PLAIN


@pytest.mark.parametrize("name", CURVE_KEYS)
def test_curve_keys_can_be_read(core_sockets: Sockets, name: str) -> None:
    """pyzmq reads them into a buffer of a size that libzmq refuses."""
    pytest.importorskip("nacl")
    socket = core_sockets("DEALER")
    option = getattr(core_sockets.zmq, name)
    socket.set(option, KEY)
    assert socket.get(option) == KEY
    socket.set(option, bytes(32))
    assert socket.get(option) == b"0" * 40


@pytest.mark.parametrize("value", ["text", 1.5, None, b"\0\0\0\0", [1]])
def test_int_options_take_only_ints(zmq: ModuleType, context: Any, value: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        for option in (zmq.LINGER, zmq.MAXMSGSIZE, zmq.AFFINITY):
            with pytest.raises(TypeError):
                socket.set(option, value)
        with pytest.raises(TypeError):
            socket.linger = value


@pytest.mark.parametrize("value", ["text", 1, None, bytearray(b"x"), memoryview(b"x")])
def test_bytes_options_take_only_bytes(zmq: ModuleType, context: Any, value: Any) -> None:
    with context.socket(zmq.DEALER) as socket, pytest.raises(TypeError):
        socket.set(zmq.ROUTING_ID, value)


@pytest.mark.parametrize(("option", "value"), [("LINGER", 2**31), ("LINGER", -(2**70)), ("MAXMSGSIZE", 2**63)])
def test_numbers_without_room(zmq: ModuleType, context: Any, option: str, value: int) -> None:
    with context.socket(zmq.DEALER) as socket, pytest.raises(OverflowError):
        socket.set(getattr(zmq, option), value)


def test_bools_and_enums_are_ints(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        socket.immediate = True
        assert socket.immediate == 1
        socket.linger = zmq.POLLOUT
        assert socket.linger == 2


@pytest.mark.parametrize("number", [-1, 1, 0, 3, 99999, INT_MAX])
def test_unknown_numbers(zmq: ModuleType, context: Any, number: int) -> None:
    with context.socket(zmq.DEALER) as socket:
        assert_invalid(zmq, socket, number, 1)
        with pytest.raises(zmq.ZMQError) as caught:
            socket.get(number)
        assert caught.value.errno == errno.EINVAL


def test_options_are_numbers(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        for option in ("LINGER", None, b"x"):
            with pytest.raises(TypeError):
                socket.get(option)
            with pytest.raises(TypeError):
                socket.set(option, 1)


def test_unknown_names(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        with pytest.raises(AttributeError):
            _ = socket.no_such_option
        with pytest.raises(AttributeError):
            socket.no_such_option = 1
        assert not hasattr(socket, "__no_such_protocol__")
        assert getattr(socket, "no_such_option", "fallback") == "fallback"


def test_only_options_are_attributes(core_sockets: Sockets) -> None:
    socket = core_sockets("DEALER")
    # pyzmq takes any constant for an option number here.
    for name in ("EAGAIN", "REQ", "io_threads"):
        with pytest.raises(AttributeError):
            getattr(socket, name)
        with pytest.raises(AttributeError):
            setattr(socket, name, 1)


def test_attributes_of_a_subclass(zmq: ModuleType, context: Any) -> None:
    class Named(zmq.Socket):  # type: ignore[name-defined, misc]
        label = "none"
        count: int

    with context.socket(zmq.DEALER, socket_class=Named) as socket:
        socket.label = "first"
        socket.count = 5
        assert (socket.label, socket.count) == ("first", 5)
        assert Named.label == "none"
        with pytest.raises(AttributeError):
            socket.other = 1


def test_strings(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        socket.setsockopt_string(zmq.ROUTING_ID, "größe")
        assert socket.getsockopt_string(zmq.ROUTING_ID) == "größe"
        socket.set_string(zmq.ROUTING_ID, "größe", encoding="latin-1")
        assert socket.get(zmq.ROUTING_ID) == "größe".encode("latin-1")
        assert socket.getsockopt_unicode(zmq.ROUTING_ID, encoding="latin-1") == "größe"
        with pytest.raises(TypeError):
            socket.setsockopt_unicode(zmq.ROUTING_ID, b"bytes")
        with pytest.raises(TypeError):
            socket.get_string(zmq.LINGER)
        with pytest.raises(UnicodeDecodeError):
            socket.get_string(zmq.ROUTING_ID)


def test_hwm_means_both(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        socket.hwm = 7
        assert (socket.sndhwm, socket.rcvhwm, socket.hwm, socket.get_hwm()) == (7, 7, 7, 7)
        socket.set_hwm(9)
        assert (socket.sndhwm, socket.rcvhwm) == (9, 9)
        with pytest.raises(zmq.ZMQError):
            socket.hwm = -1
        with pytest.raises(TypeError):
            socket.hwm = "many"


@pytest.mark.parametrize("topic", ["größe", "größe".encode()])
def test_subscribe_in_all_spellings(zmq: ModuleType, sockets: Sockets, topic: str | bytes) -> None:
    publisher = sockets("XPUB", xpub_verboser=1)
    subscriber = sockets("SUB")
    sockets.join(publisher, subscriber)

    def told() -> bytes:
        # Some call must give libzmq a chance to send its subscriptions.
        data: bytes = publisher.recv()
        return data

    subscriber.subscribe(topic)
    assert told() == b"\1" + "größe".encode()
    subscriber.unsubscribe(topic)
    assert told() == b"\0" + "größe".encode()
    subscriber.subscribe = topic
    assert told() == b"\1" + "größe".encode()
    subscriber.UNSUBSCRIBE = topic
    assert told() == b"\0" + "größe".encode()
    assert callable(subscriber.subscribe)
    with pytest.raises(TypeError):
        subscriber.subscribe(5)


def test_topics_count(zmq: ModuleType, sockets: Sockets) -> None:
    subscriber = sockets("SUB")
    for topic in (b"a", b"b", b"a"):
        subscriber.subscribe(topic)
    assert subscriber.topics_count == 2
    with pytest.raises(AttributeError):
        _ = sockets("DEALER").topics_count


def test_dir_offers_the_options(zmq: ModuleType, context: Any) -> None:
    with context.socket(zmq.DEALER) as socket:
        names = {name.lower() for name in dir(socket)}
    assert {"linger", "rcvtimeo", "send", "recv_multipart"} <= names


def test_spin_is_ours(core_sockets: Sockets) -> None:
    socket = core_sockets("DEALER")
    assert socket.spin_us == 0
    socket.spin_us = 50
    assert socket.spin_us == 50
    with pytest.raises(core_sockets.zmq.ZMQError):
        socket.spin_us = -1
