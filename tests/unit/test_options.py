"""The option table: bounds, errnos and defaults, each option by itself and all of them against libzmq."""

from __future__ import annotations

import ctypes
import errno
import random
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.native import _probe_options as probe

PAIR, PUB, SUB, REQ, REP, DEALER, ROUTER, PULL, PUSH, XPUB, XSUB, STREAM = range(12)
TYPES = range(12)

AFFINITY, ROUTING_ID, SUBSCRIBE, UNSUBSCRIBE, RATE = 4, 5, 6, 7, 8
RCVMORE, FD, EVENTS, TYPE, LINGER = 13, 14, 15, 16, 17
MAXMSGSIZE, SNDHWM, IPV4ONLY, LAST_ENDPOINT, TCP_ACCEPT_FILTER, XPUB_VERBOSE, IPV6 = 22, 23, 31, 32, 38, 40, 42
ROUTER_MANDATORY, PROBE_ROUTER, ROUTER_HANDOVER, ROUTER_RAW, REQ_CORRELATE, REQ_RELAXED = 33, 51, 56, 41, 52, 53
MECHANISM, ZAP_DOMAIN, CONNECT_ROUTING_ID, SOCKS_PROXY, XPUB_NODROP, XPUB_MANUAL, XPUB_WELCOME_MSG = (
    43, 55, 61, 68, 69, 71, 72
)  # fmt: skip
STREAM_NOTIFY, INVERT_MATCHING, HEARTBEAT_TTL, HEARTBEAT_TIMEOUT, XPUB_VERBOSER, THREAD_SAFE = 73, 74, 76, 77, 78, 81
BINDTODEVICE, METADATA, XPUB_MANUAL_LAST_VALUE, SOCKS_USERNAME, ONLY_FIRST_SUBSCRIBE, TOPICS_COUNT = (
    92, 95, 98, 99, 108, 116
)  # fmt: skip
IPC_FILTERS = (58, 59, 60)
SPIN_US = 10001

MECHANISM_OPTIONS = range(44, 51)
PLAIN_SERVER, PLAIN_USERNAME, PLAIN_PASSWORD, CURVE_SERVER, CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY = (
    MECHANISM_OPTIONS
)
NOT_BUILT = [*range(62, 66), *range(85, 89), 90, 91, 97, *range(101, 108), *range(110, 116), *range(117, 125)]
OF_THE_SOCKET = [RCVMORE, FD, EVENTS, LAST_ENDPOINT]

EINVAL = -errno.EINVAL
OF_SOCKET = -errno.ENOENT
BUFFER_BYTES = (0, 1, 4, 5, 8, 31, 32, 33, 40, 41, 42, 256, 300)


def number(value: int) -> bytes:
    return struct.pack("i", value)


def long_number(value: int) -> bytes:
    return struct.pack("q", value)


def prop(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


def readings(get: Callable[[int], bytes | int]) -> list[bytes | int]:
    return [get(size) for size in BUFFER_BYTES]


# --- against libzmq ------------------------------------------------------------------------------------------------


class Libzmq:
    """zmq_setsockopt and zmq_getsockopt as they are, without pyzmq's conversions."""

    def __init__(self) -> None:
        zmq = pytest.importorskip("zmq", reason="pyzmq is not installed")
        backend = pytest.importorskip("zmq.backend.cython._zmq", reason="pyzmq has no compiled backend here")
        if zmq.zmq_version_info()[:2] != (4, 3) or zmq.DRAFT_API:
            pytest.skip("the table is that of libzmq 4.3 without drafts")
        library = ctypes.CDLL(backend.__file__)
        if not hasattr(library, "zmq_setsockopt"):
            pytest.skip("pyzmq does not show libzmq's functions here")
        self._set = library.zmq_setsockopt
        self._set.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t]
        self._get = library.zmq_getsockopt
        self._get.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)]
        self._errno = library.zmq_errno
        self.context = zmq.Context()

    def set(self, sock: Any, option: int, value: bytes | None) -> int:
        at = None if value is None else ctypes.create_string_buffer(value, len(value) + 1)
        rc = self._set(sock.underlying, option, at, 0 if value is None else len(value))
        return 0 if rc == 0 else -self._errno()

    def get(self, sock: Any, option: int, size: int) -> bytes | int:
        at = ctypes.create_string_buffer(size + 1)
        used = ctypes.c_size_t(size)
        if self._get(sock.underlying, option, at, ctypes.byref(used)) != 0:
            return -self._errno()
        return at.raw[: used.value]


@pytest.fixture(scope="module")
def libzmq() -> Iterator[Libzmq]:
    library = Libzmq()
    yield library
    library.context.destroy(linger=0)


INTS = [-(2**31), -101, -100, -99, -2, -1, 0, 1, 2, 3, 99, 100, 250, 65535, 6553599, 6553600, 2**31 - 1]
LENGTHS = [1, 3, 5, 16, 17, 32, 40, 41, 254, 255, 256, 257, 300, 1000]
VALUES: list[bytes | None] = [
    *map(number, INTS),
    *map(long_number, (-2, -1, 0, 1, 2**40)),
    *(b"a" * length for length in LENGTHS),
    b"",
    None,
]
VALUES_OF: dict[int, list[bytes | None]] = {
    # A name with a NUL inside reads back whole from libzmq, cut from the table; the kernel cuts it in any case.
    BINDTODEVICE: [b"l", b"lo", b"d" * 16, b"d" * 17, b"d" * 300, b"", None],
    TCP_ACCEPT_FILTER: [
        b"127.0.0.1", b"10.0.0.0/8", b"10.0.0.0/0", b"10.0.0.0/32", b"10.0.0.0/33", b"10.0.0.0/", b"10.0.0.0/-1",
        b"10.0.0.0/a", b"10.0.0.0/8/8", b"10.0.0.0/4294967304", b"::1", b"::1/64", b"*", b"localhost", b"127.0.0.1:5",
        b" 127.0.0.1", b"127.0.0.1 ", b"/8", b"127.0.0.1\0", b"1" * 255, b"1" * 256, b"", None,
    ],
    METADATA: [
        b"X-a:b", b"X-a:b", b"X-a:cc", b"X-:bc", b"X-::b", b"X-a::", b"X-a b:c", b"X-a:b\0c", b"x-ab:c", b"Xa:bc",
        b":bcde", b"X-ab:", b"X-abc", b"X-:b", b"X-", b"X", b"X-" + b"k" * 253 + b":v", b"X-" + b"k" * 254 + b":v",
        b"X-b:" + b"v" * 70000, b"", None,
    ],
}  # fmt: skip


@pytest.mark.parametrize("socket_type", TYPES)
def test_every_option_answers_as_libzmq_does(libzmq: Libzmq, socket_type: int) -> None:
    """One value after the other into both; the errno of each, and what every size of buffer then reads."""
    differences = []
    for option in range(131):
        options = probe.Options(socket_type)
        with libzmq.context.socket(socket_type) as sock:
            for value in [..., *VALUES_OF.get(option, VALUES)]:
                if value is ...:
                    ours = theirs = 0
                else:
                    ours, theirs = options.set(option, value), libzmq.set(sock, option, value)
                    # The socket goes on where the table stops; libzmq knows no such seam.
                    ours = 0 if ours == OF_SOCKET else ours
                if ours != theirs:
                    differences.append((option, value, ours, theirs))
                for size in BUFFER_BYTES:
                    read, wanted = options.get(option, size), libzmq.get(sock, option, size)
                    if read == OF_SOCKET:
                        assert option in (*OF_THE_SOCKET, TOPICS_COUNT)
                    elif read != wanted:
                        differences.append((option, value, size, read, wanted))
    assert not differences


@pytest.mark.parametrize("verb", ["bind", "connect"])
def test_a_socket_in_use_answers_as_a_fresh_one(libzmq: Libzmq, verb: str) -> None:
    """No option is refused for being late: it is then for the next endpoint. So the table needs no such state."""
    for socket_type in (DEALER, ROUTER, XPUB, SUB):
        for option in range(131):
            with libzmq.context.socket(socket_type) as fresh, libzmq.context.socket(socket_type) as used:
                getattr(used, verb)("tcp://127.0.0.1:*" if verb == "bind" else "tcp://127.0.0.1:1")
                for value in (number(-1), number(0), number(1), long_number(1), b"a" * 32, b"", None):
                    assert libzmq.set(fresh, option, value) == libzmq.set(used, option, value)


KEY = bytes(range(32))
KEY_TEXT = b"009c61o!#m2NH?C3>iWS5d]J*6CRx17-skh9337x"
SECURITY_VALUES: dict[int, list[bytes | None]] = {
    PLAIN_SERVER: [number(value) for value in (-1, 0, 1, 2)],
    PLAIN_USERNAME: [b"name", b"n" * 255, b"n" * 256, b"", None],
    PLAIN_PASSWORD: [b"word", b"with\0nul", b"w" * 256, b"", None],
    CURVE_SERVER: [number(value) for value in (-1, 0, 1, 2)],
    **dict.fromkeys(
        (CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY),
        [
            KEY, KEY_TEXT, KEY_TEXT + b"\0", KEY_TEXT + b"x", KEY[:31], KEY_TEXT[:39], b"%nSc0" + KEY_TEXT[5:], b"",
            None,
        ],
    ),
    ZAP_DOMAIN: [b"global", b"", None, b"d" * 256],
}  # fmt: skip


@pytest.mark.parametrize("text", [KEY_TEXT[:39] + end for end in (b" ", b"\0", b"\xff")] + [b"%nSc1" + KEY_TEXT[5:]])
def test_keys_of_wrong_digits(libzmq: Libzmq, text: bytes) -> None:
    """Only the errno is compared: libzmq then keeps what it had read so far."""
    for option in (CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY):
        options = probe.Options(DEALER)
        with libzmq.context.socket(DEALER) as sock:
            assert options.set(option, text) == libzmq.set(sock, option, text) == EINVAL
        assert options.get(option, 32) == bytes(32)


@pytest.mark.parametrize("seed", range(20))
def test_security_options_in_any_order_answer_as_in_libzmq(libzmq: Libzmq, seed: int) -> None:
    """They switch MECHANISM and each other: after every step all of them are read."""
    dice = random.Random(seed)
    options = probe.Options(DEALER)
    with libzmq.context.socket(DEALER) as sock:
        for _ in range(100):
            option = dice.choice([*SECURITY_VALUES])
            value = dice.choice(SECURITY_VALUES[option])
            assert options.set(option, value) == libzmq.set(sock, option, value), (option, value)
            for each in (MECHANISM, *SECURITY_VALUES):
                for size in BUFFER_BYTES:
                    assert options.get(each, size) == libzmq.get(sock, each, size), (option, value, each, size)


# --- each by itself ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("option", "default"),
    [
        (4, long_number(0)), (ROUTING_ID, b""), (RATE, 100), (9, 10000), (11, -1), (12, -1), (LINGER, -1), (18, 100),
        (19, 100), (21, 0), (MAXMSGSIZE, long_number(-1)), (23, 1000), (24, 1000), (25, 1), (27, -1), (28, -1),
        (IPV4ONLY, 1), (34, -1), (35, -1), (36, -1), (37, -1), (39, 0), (IPV6, 0), (MECHANISM, 0), (54, 0),
        (ZAP_DOMAIN, b"\0"), (57, 0), (66, 30000), (SOCKS_PROXY, b"\0"), (INVERT_MATCHING, 0), (75, 0),
        (HEARTBEAT_TTL, 0), (HEARTBEAT_TIMEOUT, -1), (79, 0), (80, 0), (THREAD_SAFE, 0), (84, 1500), (89, -1),
        (BINDTODEVICE, b"\0"), (93, 0), (94, 0), (96, 1), (99, b"\0"), (100, b"\0"), (109, 0), (SPIN_US, 0),
    ],
)  # fmt: skip
def test_defaults(option: int, default: int | bytes) -> None:
    wanted = number(default) if isinstance(default, int) else default
    assert wanted in readings(lambda size: probe.Options(PAIR).get(option, size))


def test_write_only_options_are_off() -> None:
    fields = probe.Options(ROUTER).fields
    assert fields.pop("stream_notify") == 1
    assert set(fields.values()) <= {0, b""}


@pytest.mark.parametrize("socket_type", TYPES)
def test_linger_depends_on_type_and_context(socket_type: int) -> None:
    wanted = 0 if socket_type in (SUB, XSUB) else -1
    assert probe.Options(socket_type).get(LINGER, 4) == number(wanted)
    assert probe.Options(socket_type, blocky=False).get(LINGER, 4) == number(0)
    assert probe.Options(socket_type).get(TYPE, 4) == number(socket_type)


def test_ipv6_comes_from_the_context_and_ipv4only_is_its_inverse() -> None:
    options = probe.Options(PAIR, ipv6=True)
    assert options.get(IPV6, 4) == number(1)
    assert options.get(IPV4ONLY, 4) == number(0)
    assert options.set(IPV4ONLY, number(1)) == 0
    assert options.get(IPV6, 4) == number(0)


@pytest.mark.parametrize("option", [*NOT_BUILT, 70, 0, -1, 1, 127, 128, 129, 10000, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize("socket_type", [PAIR, ROUTER, XPUB, XSUB])
def test_refused_numbers(option: int, socket_type: int) -> None:
    options = probe.Options(socket_type)
    for value in (number(0), number(1), long_number(1), b"a" * 32, b"", None):
        assert options.set(option, value) == EINVAL
    assert set(readings(lambda size: options.get(option, size))) == {EINVAL}


@pytest.mark.parametrize("option", OF_THE_SOCKET)
def test_what_only_the_socket_knows(option: int) -> None:
    for socket_type in TYPES:
        options = probe.Options(socket_type)
        assert options.get(option, 300) == OF_SOCKET
        assert options.set(option, number(0)) == EINVAL


@pytest.mark.parametrize("socket_type", TYPES)
def test_topics_count_and_subscribe_belong_to_some_types(socket_type: int) -> None:
    options = probe.Options(socket_type)
    has_topics = socket_type in (PUB, SUB, XPUB, XSUB)
    assert options.get(TOPICS_COUNT, 4) == (OF_SOCKET if has_topics else EINVAL)
    for option in (SUBSCRIBE, UNSUBSCRIBE):
        assert options.set(option, b"topic") == (OF_SOCKET if socket_type == SUB else EINVAL)
        assert options.get(option, 4) == EINVAL


@pytest.mark.parametrize("socket_type", [PUB, XPUB])
@pytest.mark.parametrize("switch", [XPUB_MANUAL, XPUB_MANUAL_LAST_VALUE])
def test_manual_publishers_may_subscribe(socket_type: int, switch: int) -> None:
    options = probe.Options(socket_type)
    assert options.set(switch, number(1)) == 0
    assert options.set(SUBSCRIBE, None) == OF_SOCKET
    assert options.set(XPUB_MANUAL, number(0)) == 0
    assert options.set(SUBSCRIBE, b"") == EINVAL


@pytest.mark.parametrize(
    ("option", "field", "types"),
    [
        (ROUTER_MANDATORY, "router_mandatory", [ROUTER, REP]),
        (ROUTER_HANDOVER, "router_handover", [ROUTER, REP]),
        (ROUTER_RAW, "router_raw", [ROUTER, REP]),
        (PROBE_ROUTER, "probe_router", [ROUTER, REP, DEALER, REQ]),
        (REQ_CORRELATE, "req_correlate", [REQ]),
        (REQ_RELAXED, "req_relaxed", [REQ]),
        (XPUB_VERBOSE, "xpub_verbose", [XPUB, PUB]),
        (XPUB_VERBOSER, "xpub_verboser", [XPUB, PUB]),
        (XPUB_NODROP, "xpub_nodrop", [XPUB, PUB]),
        (XPUB_MANUAL, "xpub_manual", [XPUB, PUB]),
        (XPUB_MANUAL_LAST_VALUE, "xpub_manual_last_value", [XPUB, PUB]),
        (ONLY_FIRST_SUBSCRIBE, "only_first_subscribe", [XPUB, PUB, XSUB]),
    ],
)
def test_switches_of_some_types(option: int, field: str, types: list[int]) -> None:
    for socket_type in TYPES:
        options = probe.Options(socket_type)
        assert options.get(option, 4) == EINVAL
        if socket_type not in types:
            assert options.set(option, number(1)) == EINVAL
            continue
        assert options.set(option, number(-1)) == EINVAL
        assert options.set(option, b"") == EINVAL
        assert options.set(option, number(7)) == 0
        assert options.fields[field] == 1
        assert options.set(option, number(0)) == 0
        assert options.fields[field] == 0


@pytest.mark.parametrize(
    ("steps", "verbose", "verboser"),
    [
        ([(XPUB_VERBOSE, 1)], 1, 0),
        ([(XPUB_VERBOSER, 1)], 1, 1),
        ([(XPUB_VERBOSER, 1), (XPUB_VERBOSE, 1)], 1, 0),
        ([(XPUB_VERBOSER, 1), (XPUB_VERBOSE, 0)], 0, 0),
        ([(XPUB_VERBOSE, 1), (XPUB_VERBOSER, 0)], 0, 0),
    ],
)
def test_verbose_and_verboser_switch_each_other(steps: list[tuple[int, int]], verbose: int, verboser: int) -> None:
    options = probe.Options(XPUB)
    for option, value in steps:
        assert options.set(option, number(value)) == 0
    assert (options.fields["xpub_verbose"], options.fields["xpub_verboser"]) == (verbose, verboser)


def test_last_value_brings_manual_with_it_and_takes_it_away() -> None:
    options = probe.Options(XPUB)
    assert options.set(XPUB_MANUAL_LAST_VALUE, number(1)) == 0
    assert (options.fields["xpub_manual"], options.fields["xpub_manual_last_value"]) == (1, 1)
    assert options.set(XPUB_MANUAL_LAST_VALUE, number(0)) == 0
    assert (options.fields["xpub_manual"], options.fields["xpub_manual_last_value"]) == (0, 0)


def test_stream_notify() -> None:
    options = probe.Options(STREAM)
    assert options.set(STREAM_NOTIFY, number(2)) == EINVAL
    assert options.set(STREAM_NOTIFY, number(0)) == 0
    assert options.fields["stream_notify"] == 0
    assert probe.Options(ROUTER).set(STREAM_NOTIFY, number(0)) == EINVAL


@pytest.mark.parametrize(("value", "kept"), [(250, 200), (99, 0), (-99, 0), (100, 100), (6553599, 6553500)])
def test_heartbeat_ttl_is_kept_in_tenths_of_a_second(value: int, kept: int) -> None:
    options = probe.Options(DEALER)
    assert options.set(HEARTBEAT_TTL, number(value)) == 0
    assert options.get(HEARTBEAT_TTL, 4) == number(kept)


@pytest.mark.parametrize("value", [-100, 6553600])
def test_heartbeat_ttl_must_fit_the_wire(value: int) -> None:
    assert probe.Options(DEALER).set(HEARTBEAT_TTL, number(value)) == EINVAL


@pytest.mark.parametrize(
    ("option", "good", "bad", "read"),
    [
        (SNDHWM, number(5), number(-1), number(5)),
        (MAXMSGSIZE, long_number(5), number(5), long_number(5)),
        (ROUTING_ID, b"name", b"x" * 256, b"name"),
        (SOCKS_PROXY, b"host:1080", b"", b"host:1080\0"),
        (BINDTODEVICE, b"lo", b"x" * 17, b"lo\0"),
    ],
)
def test_a_refused_value_changes_nothing(option: int, good: bytes, bad: bytes, read: bytes) -> None:
    options = probe.Options(ROUTER)
    assert options.set(option, good) == 0
    assert options.set(option, bad) == EINVAL
    assert options.get(option, len(read)) == read


@pytest.mark.parametrize("option", [CURVE_PUBLICKEY, CURVE_SECRETKEY, CURVE_SERVERKEY])
@pytest.mark.parametrize("value", [KEY, KEY_TEXT, KEY_TEXT + b"\0"])
def test_keys_are_raw_or_text(option: int, value: bytes) -> None:
    options = probe.Options(DEALER)
    assert options.get(option, 32) == bytes(32)
    assert options.set(option, value) == 0
    assert (options.get(option, 32), options.get(option, 41)) == (KEY, KEY_TEXT + b"\0")
    assert options.set(option, KEY_TEXT[:-1] + b" ") == EINVAL
    assert options.get(option, 32) == KEY
    assert options.get(MECHANISM, 4) == number(2)
    assert {options.get(option, size) for size in (0, 31, 33, 40, 42, 255)} == {EINVAL}


def test_secrets_do_not_stay() -> None:
    options = probe.Options(DEALER)
    assert options.set(CURVE_SECRETKEY, KEY) == 0
    assert KEY in options.memory()
    options.fini()
    assert KEY not in options.memory()


def test_spin_us() -> None:
    options = probe.Options(REQ)
    assert options.set(SPIN_US, number(-1)) == EINVAL
    assert options.set(SPIN_US, number(50)) == 0
    assert options.get(SPIN_US, 4) == number(50)
    assert probe.kind(SPIN_US) == 1


@pytest.mark.parametrize("option", [ROUTING_ID, ZAP_DOMAIN, SOCKS_PROXY, BINDTODEVICE, METADATA, SNDHWM, AFFINITY])
def test_null_with_a_size_is_refused(option: int) -> None:
    assert probe.Options(DEALER).set_null(option, 4) == EINVAL
    assert probe.Options(DEALER).set_null(option, 8) == EINVAL


@pytest.mark.parametrize("option", [ZAP_DOMAIN, BINDTODEVICE, SNDHWM, AFFINITY, IPV4ONLY, MECHANISM, THREAD_SAFE])
def test_reading_into_null_is_refused(option: int) -> None:
    for size in (4, 8, 300):
        assert probe.Options(DEALER).get_null(option, size) == EINVAL


def test_texts_can_be_replaced_cleared_and_read_with_their_nul() -> None:
    options = probe.Options(DEALER)
    for value in (b"one", b"a longer one", b"two"):
        assert options.set(SOCKS_USERNAME, value) == 0
        assert options.get(SOCKS_USERNAME, len(value)) == EINVAL
        assert options.get(SOCKS_USERNAME, len(value) + 1) == value + b"\0"
    assert options.set(SOCKS_USERNAME, None) == 0
    assert options.get(SOCKS_USERNAME, 1) == b"\0"


def test_connect_routing_id_and_welcome_message() -> None:
    router, xpub = probe.Options(ROUTER), probe.Options(XPUB)
    assert router.set(CONNECT_ROUTING_ID, b"") == EINVAL
    assert router.set(CONNECT_ROUTING_ID, b"peer" * 100) == 0
    assert router.fields["connect_routing_id"] == b"peer" * 100
    assert xpub.set(XPUB_WELCOME_MSG, b"hello") == 0
    assert xpub.fields["xpub_welcome"] == b"hello"
    assert xpub.set(XPUB_WELCOME_MSG, b"") == 0
    assert xpub.fields["xpub_welcome"] == b""


# --- filters -------------------------------------------------------------------------------------------------------


def test_accept_filters_add_up() -> None:
    options = probe.Options(PULL)
    v4 = (False, 8, socket.inet_aton("10.0.0.0").ljust(16, b"\0"))
    v6 = (True, 64, socket.inet_pton(socket.AF_INET6, "fe80::"))
    assert options.set(TCP_ACCEPT_FILTER, b"10.0.0.0/8") == 0
    assert options.set(TCP_ACCEPT_FILTER, b"fe80::/64") == EINVAL
    assert options.set(IPV6, number(1)) == 0
    assert options.set(TCP_ACCEPT_FILTER, b"fe80::/64") == 0
    assert options.networks() == [v4, v6]
    assert options.set(TCP_ACCEPT_FILTER, b"fe80::/129") == EINVAL
    assert options.set(TCP_ACCEPT_FILTER, b"") == EINVAL
    assert options.networks() == [v4, v6]
    assert options.set(TCP_ACCEPT_FILTER, None) == 0
    assert options.networks() == []


@pytest.mark.parametrize(
    ("text", "bits"), [(b"1.2.3.4", 32), (b"1.2.3.4/0", 0), (b"1.2.3.4/08", 8), (b"1.2.3.4\0/99", 32)]
)
def test_accept_filter_masks(text: bytes, bits: int) -> None:
    options = probe.Options(PULL)
    assert options.set(TCP_ACCEPT_FILTER, text) == 0
    assert options.networks() == [(False, bits, b"\1\2\3\4" + bytes(12))]


@pytest.mark.parametrize("text", [b"1.2.3.4/+8", b"1.2.3.4/ 8", b"1.2.3.4/8x", b"1.2.3.4/8 "])
def test_accept_filter_masks_are_figures_only(text: bytes) -> None:
    """libzmq takes what strtol takes."""
    assert probe.Options(PULL).set(TCP_ACCEPT_FILTER, text) == EINVAL


@pytest.mark.parametrize("index", range(3))
def test_ipc_filters_add_up(index: int) -> None:
    options = probe.Options(PULL)
    option = IPC_FILTERS[index]
    assert options.set(option, number(7)) == 0
    assert options.set(option, number(9)) == 0
    for bad in (b"", b"abc", long_number(1)):
        assert options.set(option, bad) == EINVAL
    wanted = [b"", b"", b""]
    wanted[index] = number(7) + number(9)
    assert options.ids == tuple(wanted)
    assert options.set(option, None) == 0
    assert options.ids == (b"", b"", b"")


# --- metadata ------------------------------------------------------------------------------------------------------


def test_metadata_is_a_property_list_in_byte_order_of_its_names() -> None:
    options = probe.Options(DEALER)
    for text in b"X-b:two X-app:demo X-B:x:y X-appx:1 X-ap:2 X-b:late X-\xff:3 X-:nameless".split():
        assert options.set(METADATA, text) == 0
    assert options.metadata == b"".join(
        [
            prop(b"X-", b"nameless"),
            prop(b"X-B", b"x:y"),
            prop(b"X-ap", b"2"),
            prop(b"X-app", b"demo"),
            prop(b"X-appx", b"1"),
            prop(b"X-b", b"two"),
            prop(b"X-\xff", b"3"),
        ]
    )


def test_metadata_name_has_its_length_in_one_byte() -> None:
    options = probe.Options(DEALER)
    longest = b"X-" + b"k" * 253
    assert options.set(METADATA, longest + b":v") == 0
    assert options.set(METADATA, longest + b"k:v") == EINVAL
    assert options.metadata == prop(longest, b"v")


@pytest.mark.parametrize("text", [b"X-a\0b:c", b"X-\0:value"])
def test_metadata_name_holds_no_nul(text: bytes) -> None:
    """libzmq sends such a name; RFC 37 has no place for it."""
    assert probe.Options(DEALER).set(METADATA, text) == EINVAL


# --- memory --------------------------------------------------------------------------------------------------------


def test_fini_frees_and_may_come_twice() -> None:
    options = probe.Options(ROUTER)
    for option, value in [(ROUTING_ID, b"id"), (METADATA, b"X-a:b"), (TCP_ACCEPT_FILTER, b"1.2.3.4"), (58, number(1)),
                          (ZAP_DOMAIN, b"zap"), (CONNECT_ROUTING_ID, b"peer")]:  # fmt: skip
        assert options.set(option, value) == 0
    options.fini()
    assert options.get(ROUTING_ID, 10) == b""
    assert options.metadata == b""
    assert options.networks() == []
    assert options.ids == (b"", b"", b"")
    assert options.fields["connect_routing_id"] == b""


def test_a_blob_is_never_an_empty_block() -> None:
    options = probe.Options(ROUTER)
    assert options.routing_id_set(b"some") == 0
    assert options.get(ROUTING_ID, 10) == b"some"
    assert options.routing_id_set(b"") == 0
    assert options.get(ROUTING_ID, 10) == b""


# --- kinds ---------------------------------------------------------------------------------------------------------


def test_kinds() -> None:
    kinds = {option: probe.kind(option) for option in range(-1, 131)}
    int64, raw, text, fd, key = 2, 4, 5, 6, 7
    assert [option for option, kind in kinds.items() if kind == key] == [48, 49, 50]
    assert [option for option, kind in kinds.items() if kind == int64] == [AFFINITY, MAXMSGSIZE, 85, 86, 87]
    assert [option for option, kind in kinds.items() if kind == raw] == [5, 6, 7, 61, 72, 95, 110, 111, 114]
    assert [option for option, kind in kinds.items() if kind == text] == [
        32, 38, 45, 46, 55, 63, 64, 68, 92, 99, 100, 103, 104, 105, 106
    ]  # fmt: skip
    assert [option for option, kind in kinds.items() if kind == fd] == [FD]
    unknown = [-1, 0, 1, 2, 3, 10, 20, 26, 29, 30, 67, 82, 83, *range(125, 131)]
    assert [option for option, kind in kinds.items() if kind == 0] == unknown
