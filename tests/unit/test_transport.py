"""zmqcore/_transport: address texts, listening, connecting, accepting, and the options seen on the fds.

Rows of the tables are checked against libzmq in the same test, so that the expected errno is not only ours.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import resource
import select
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq
from hypothesis import example, given
from hypothesis import strategies as st

from tests.native import _probe_transport as probe
from tests.support import DEADLINE_MS
from tests.unit.transport_texts import BIND_ERRORS, BINDS, CONNECT_TEXTS, LOOPBACK

LINUX_ONLY = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux only")


def has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


NEEDS_IPV6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no ::1")


def name_of(code: int) -> str:
    return "ok" if code == 0 else errno.errorcode[abs(code)]


def is_readable(fd: int, timeout_ms: int = DEADLINE_MS) -> bool:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    return bool(poller.poll(timeout_ms))


class Fds:
    """Makes sockets by the probe; whatever the test leaves open is closed at its end."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._stack = stack

    def keep(self, fd: int) -> socket.socket:
        return self._stack.enter_context(socket.socket(fileno=fd))

    def listen(self, text: str, **options: object) -> tuple[socket.socket, str]:
        code, fd, resolved = probe.listen(os.fsencode(text), **options)
        assert name_of(code) == "ok"
        return self.keep(fd), os.fsdecode(resolved)

    def try_connect(self, text: str, **options: object) -> tuple[str, socket.socket | None]:
        """The outcome after waiting for it, and the socket if there is one."""
        code, fd = probe.connect(os.fsencode(text), **options)
        if name_of(code) not in ("ok", "EINPROGRESS"):
            assert fd == -1
            return name_of(code), None
        sock = self.keep(fd)
        if code != 0:
            poller = select.poll()
            poller.register(fd, select.POLLOUT)
            assert poller.poll(DEADLINE_MS)
            code = probe.connected(fd)
        return name_of(code), sock

    def connect(self, text: str, **options: object) -> socket.socket:
        outcome, sock = self.try_connect(text, **options)
        assert outcome == "ok" and sock is not None
        return sock

    def accept(self, listener: socket.socket, kind: int, **options: object) -> socket.socket:
        assert is_readable(listener.fileno())
        code, fd = probe.accept(listener.fileno(), kind, **options)
        assert name_of(code) == "ok"
        return self.keep(fd)

    def reserve(self, host: str = "127.0.0.1") -> int:
        """A port where nobody listens and that the system gives to no one else; a listener may join it."""
        holder = self._stack.enter_context(socket.socket())
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind((host, 0))
        return int(holder.getsockname()[1])


@pytest.fixture
def fds() -> Iterator[Fds]:
    with contextlib.ExitStack() as stack:
        yield Fds(stack)


@pytest.fixture
def directory() -> Iterator[Path]:
    """Shorter than tmp_path, whose depth may exceed what an ipc path holds."""
    path = Path(tempfile.mkdtemp(prefix="zc"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


def last_endpoint(sock: zmq.Socket[bytes]) -> str:
    value = sock.getsockopt(zmq.LAST_ENDPOINT)
    assert isinstance(value, bytes)
    return os.fsdecode(value.rstrip(b"\0"))


def call_libzmq(call: Callable[[zmq.Socket[bytes]], object], ipv6: bool) -> tuple[str, str]:
    """Outcome and LAST_ENDPOINT of one call on a fresh libzmq socket."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        sock.ipv6 = ipv6
        try:
            call(sock)
        except zmq.ZMQError as error:
            assert error.errno is not None
            return name_of(error.errno), ""
        return "ok", last_endpoint(sock)


def bind_outcome(text: str, ipv6: bool) -> tuple[str, str]:
    code, fd, resolved = probe.listen(os.fsencode(text), ipv6=ipv6)
    if code != 0:
        return name_of(code), ""
    probe.unlisten(os.fsencode(text), resolved, fd)
    return "ok", os.fsdecode(resolved)


def without_port(endpoint: str) -> str:
    return endpoint.rpartition(":")[0] if endpoint.startswith("tcp:") else endpoint


# --- text at bind ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(("text", "expected"), BIND_ERRORS, ids=lambda value: ascii(value)[:50])
def test_bind_refuses(text: str, expected: str, ipv6: bool) -> None:
    assert bind_outcome(text, ipv6)[0] == expected
    assert call_libzmq(lambda sock: sock.bind(text), ipv6)[0] == expected


# libzmq takes these: it cuts the port to 16 bits, or stops at the first character that is no digit.
@pytest.mark.parametrize("port", ["65537", "131071", "99999999999", "-1", "1x", "12x45", "5999 ", "0x50", "1]5999"])
def test_bind_refuses_ports_that_libzmq_misreads(port: str) -> None:
    assert bind_outcome(f"tcp://127.0.0.1:{port}", False)[0] == "EINVAL"


@pytest.mark.parametrize("text", ["tcp://[::1]:*", "tcp://::1:0", "tcp://[::]:0", f"tcp://[::1%{LOOPBACK}]:*"])
def test_bind_has_no_ipv6_address_while_ipv6_is_off(text: str) -> None:
    assert name_of(probe.parse(text.encode(), True)[0]) == "ENODEV"
    assert bind_outcome(text, False)[0] == "ENODEV"
    assert call_libzmq(lambda sock: sock.bind(text), False)[0] == "ENODEV"


@pytest.mark.parametrize(("text", "expected", "_"), [row for row in BINDS if row[1]], ids=lambda value: str(value))
def test_bind_ipv4(text: str, expected: str, _: str) -> None:
    assert (bind_outcome(text, False)[0], without_port(bind_outcome(text, False)[1])) == ("ok", expected)
    outcome, endpoint = call_libzmq(lambda sock: sock.bind(text), False)
    assert (outcome, without_port(endpoint)) == ("ok", expected)


@NEEDS_IPV6
@pytest.mark.parametrize(("text", "_", "expected"), BINDS, ids=lambda value: str(value))
def test_bind_ipv6(text: str, _: str, expected: str) -> None:
    outcome, endpoint = bind_outcome(text, True)
    assert (outcome, without_port(endpoint)) == ("ok", expected)
    outcome, endpoint = call_libzmq(lambda sock: sock.bind(text), True)
    assert (outcome, without_port(endpoint)) == ("ok", expected)


def test_bind_host_name() -> None:
    outcome, endpoint = bind_outcome("tcp://localhost:*", False)
    assert (outcome, without_port(endpoint)) == ("ok", "tcp://127.0.0.1")


def test_bind_takes_the_port_it_names_and_ignores_a_path(fds: Fds) -> None:
    port = fds.reserve()
    _, endpoint = fds.listen(f"tcp://127.0.0.1:0{port}/some/path")
    assert endpoint == f"tcp://127.0.0.1:{port}"


def test_bind_of_a_taken_port_is_in_use(fds: Fds) -> None:
    _, endpoint = fds.listen("tcp://127.0.0.1:*")
    assert bind_outcome(endpoint, False)[0] == "EADDRINUSE"


def test_bind_of_a_foreign_address_is_not_available() -> None:
    # TEST-NET-3 of RFC 5737 belongs to no machine.
    assert bind_outcome("tcp://203.0.113.1:*", False)[0] == "EADDRNOTAVAIL"
    assert call_libzmq(lambda sock: sock.bind("tcp://203.0.113.1:*"), False)[0] == "EADDRNOTAVAIL"


# --- text at connect -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ipv6", [False, True], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize(("text", "expected"), CONNECT_TEXTS, ids=lambda value: ascii(value)[:50])
def test_connect_checks(text: str, expected: str, ipv6: bool) -> None:
    assert name_of(probe.parse(os.fsencode(text), False, ipv6)[0]) == expected
    assert call_libzmq(lambda sock: sock.connect(text), ipv6)[0] == expected


def test_connect_knows_the_same_characters_as_libzmq() -> None:
    with zmq.Context() as context, context.socket(zmq.DEALER) as sock:
        sock.linger = 0
        for code in range(1, 128):
            for text in (f"tcp://{chr(code)}a.invalid:0", f"tcp://a{chr(code)}a.invalid:0"):
                try:
                    sock.connect(text)
                    expected = "ok"
                except zmq.ZMQError as error:
                    assert error.errno is not None
                    expected = name_of(error.errno)
                assert (text, name_of(probe.parse(text.encode(), False)[0])) == (text, expected)


@pytest.mark.parametrize(
    "text",
    [
        "tcp://:5999",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:00",
        "tcp://127.0.0.1:1x",
        "tcp://127.0.0.1:65537",
        "tcp://127.0.0.1:0;",
        "tcp://127.0.0.5:0;*:5999",
        "tcp://[::1]:5999",
        "tcp://[::1%]:5999",
        "tcp://x;127.0.0.1:5999",
        "tcp://127.0.0.5;127.0.0.1:5999",
        "tcp://127.0.0.5:1x;127.0.0.1:5999",
        "tcp://nosuchhost.invalid:5999",
        "inproc://x",
    ],
)
def test_what_connect_lets_pass_fails_at_the_attempt(text: str) -> None:
    code, fd = probe.connect(text.encode())
    assert (name_of(code), fd) == ("EINVAL", -1)


def test_a_source_is_not_looked_up_by_name() -> None:
    code, fd = probe.connect(b"tcp://localhost:0;127.0.0.1:5999")
    assert (name_of(code), fd) == ("ENODEV", -1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tcp://localhost:1", True),
        (f"tcp://{LOOPBACK}:1", True),
        ("tcp://127.0.0.1:1", False),
        ("tcp://a:0;127.0.0.1:1", False),
        ("tcp://[::1]:1", False),
        (f"tcp://[::1%{LOOPBACK}]:1", False),
        ("tcp://:1", False),
        ("tcp://localhost:0", False),
        ("tcp://a:0;*:1", False),
        ("ipc://localhost", False),
        ("inproc://localhost", False),
    ],
)
def test_needs_resolver(text: str, expected: bool) -> None:
    assert probe.needs_resolver(text.encode()) is expected


# --- parsed fields and bounds ----------------------------------------------------------------------------------------


def test_parse_of_a_bind() -> None:
    text = f"tcp://src:9;[::1%{LOOPBACK}]:5555/path".encode()
    code, address = probe.parse(text, True, True)
    assert (code, address["kind"], address["text"]) == (0, probe.TCP, text)
    assert (address["host"], address["port"]) == (f"::1%{LOOPBACK}".encode(), 5555)
    assert address["source"] == b"src:9"


def test_parse_of_a_connect() -> None:
    code, address = probe.parse(b"tcp://127.0.0.5:0;host.example:65535", False)
    assert (code, address["host"], address["port"]) == (0, b"host.example", 65535)
    assert address["source"] == b"127.0.0.5:0"


def test_parse_of_ipc_and_inproc() -> None:
    assert probe.parse(b"ipc:///tmp/a b\xff;c:1", True)[1]["host"] == b"/tmp/a b\xff;c:1"
    assert probe.parse(b"ipc://@name", True)[1]["host"] == b"@name"
    assert probe.parse(b"ipc://*", True)[1]["host"] == b"*"
    assert probe.parse(b"ipc://*ignored", True)[1]["host"] == b"*"
    assert probe.parse(b"ipc://*literal", False)[1]["host"] == b"*literal"
    code, address = probe.parse(b"inproc://a://b", True)
    assert (code, address["kind"], address["host"]) == (0, probe.INPROC, b"a://b")


@pytest.mark.parametrize(
    "text", [b"tcp://127.0.0.1:0\0", b"tcp://127.0.0.1\0:0", b"ipc:///tmp/a\0b", b"inproc://\0", b"\0"]
)
@pytest.mark.parametrize("is_bind", [False, True])
def test_parse_refuses_an_embedded_nul(text: bytes, is_bind: bool) -> None:
    assert name_of(probe.parse(text, is_bind)[0]) == "EINVAL"


@pytest.mark.parametrize("is_bind", [False, True])
def test_parse_holds_texts_of_1023_bytes_and_no_more(is_bind: bool) -> None:
    longest = probe.TEXT_MAX - 1
    for head, tail in [(b"inproc://", b""), (b"tcp://", b":1"), (b"tcp://a:0;", b":1"), (b"tcp://", b":0;127.0.0.1:1")]:
        text = head + (longest - len(head) - len(tail)) * b"x" + tail
        assert len(text) == 1023
        code, address = probe.parse(text, is_bind)
        assert (code, address["text"]) == (0, text)
        assert name_of(probe.parse(head + b"x" + text[len(head) :], is_bind)[0]) == "EINVAL"


def test_a_host_of_the_longest_text_is_merely_unknown() -> None:
    text = b"tcp://" + 1000 * b"x" + b":5999"
    assert name_of(probe.listen(text)[0]) == "ENODEV"
    assert name_of(probe.connect(text)[0]) == "EINVAL"
    assert name_of(probe.figures(text)) == "ENODEV"


@given(
    st.one_of(
        st.binary(max_size=1100),
        st.builds(
            lambda scheme, rest: scheme + b"://" + rest,
            st.sampled_from([b"tcp", b"ipc", b"inproc", b"TCP", b""]),
            st.lists(
                st.sampled_from(
                    [b"127.0.0.1", b"[", b"]", b"%", b";", b":", b"*", b"@", b"/", b"0", b"65535", b"x", b"\xff"]
                )
            ).map(b"".join),
        ),
    ),
    st.booleans(),
    st.booleans(),
)
@example(b"tcp://:", True, False)
@example(b"tcp://[]:1", True, True)
def test_parse_of_anything_is_a_verdict(text: bytes, is_bind: bool, ipv6: bool) -> None:
    code, address = probe.parse(text, is_bind, ipv6)
    assert name_of(code) in ("ok", "EINVAL", "EPROTONOSUPPORT", "ENODEV", "ENAMETOOLONG")
    if code == 0:
        assert address["text"] == text
        assert 0 <= address["port"] <= 65535


# --- listen, connect, accept -----------------------------------------------------------------------------------------


def assert_usual_flags(sock: socket.socket) -> None:
    assert fcntl.fcntl(sock, fcntl.F_GETFL) & os.O_NONBLOCK
    assert fcntl.fcntl(sock, fcntl.F_GETFD) & fcntl.FD_CLOEXEC


def assert_round_trip(one: socket.socket, other: socket.socket) -> None:
    for source, target in ((one, other), (other, one)):
        source.send(b"ping")
        assert is_readable(target.fileno())
        assert target.recv(16) == b"ping"


ROUND_TRIPS = [
    pytest.param("tcp://127.0.0.1:*", False, "127.0.0.1", id="ipv4"),
    pytest.param("tcp://127.0.0.1:*", True, "::ffff:127.0.0.1", id="mapped", marks=NEEDS_IPV6),
    pytest.param("tcp://[::1]:*", True, "::1", id="ipv6", marks=NEEDS_IPV6),
]


@pytest.mark.parametrize(("text", "ipv6", "peer"), ROUND_TRIPS)
def test_tcp_round_trip(fds: Fds, text: str, ipv6: bool, peer: str) -> None:
    listener, endpoint = fds.listen(text, ipv6=ipv6)
    client = fds.connect(endpoint, ipv6=ipv6)
    server = fds.accept(listener, probe.TCP)
    for sock in (listener, client, server):
        assert_usual_flags(sock)
    assert_round_trip(client, server)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    for sock in (client, server):
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert probe.peer(server.fileno(), probe.TCP).decode() == peer
    assert probe.peer(client.fileno(), probe.TCP).decode() == peer


@NEEDS_IPV6
def test_a_dual_stack_listener_takes_both_families(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://*:*", ipv6=True)
    port = endpoint.rpartition(":")[2]
    assert endpoint == f"tcp://[::]:{port}"
    for text, ipv6, peer in [
        (f"tcp://127.0.0.1:{port}", False, b"::ffff:127.0.0.1"),
        (f"tcp://127.0.0.1:{port}", True, b"::ffff:127.0.0.1"),
        (f"tcp://[::1]:{port}", True, b"::1"),
        (f"tcp://[::1%{LOOPBACK}]:{port}", True, b"::1"),
    ]:
        client = fds.connect(text, ipv6=ipv6)
        server = fds.accept(listener, probe.TCP)
        assert_round_trip(client, server)
        assert probe.peer(server.fileno(), probe.TCP) == peer


def test_connect_by_host_name(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    fds.connect(endpoint.replace("127.0.0.1", "localhost"))
    fds.accept(listener, probe.TCP)


@LINUX_ONLY
@pytest.mark.parametrize("source", ["127.0.0.5:0", "127.0.0.5:*"])
def test_connect_from_a_source_address(fds: Fds, source: str) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    fds.connect(endpoint.replace("tcp://", f"tcp://{source};"))
    server = fds.accept(listener, probe.TCP)
    assert probe.peer(server.fileno(), probe.TCP) == b"127.0.0.5"


def test_connect_from_an_interface_and_a_source_port(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    port = fds.reserve()
    fds.connect(endpoint.replace("tcp://", f"tcp://{LOOPBACK}:{port};"))
    assert fds.accept(listener, probe.TCP).getpeername() == ("127.0.0.1", port)


@NEEDS_IPV6
def test_connect_from_an_ipv6_source(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://[::1]:*", ipv6=True)
    fds.connect(endpoint.replace("tcp://", "tcp://[::1]:*;"), ipv6=True)
    fds.accept(listener, probe.TCP)


def test_two_connections_may_leave_from_one_port(fds: Fds) -> None:
    port = fds.reserve()
    for _ in range(2):
        listener, endpoint = fds.listen("tcp://127.0.0.1:*")
        fds.connect(endpoint.replace("tcp://", f"tcp://127.0.0.1:{port};"))
        assert fds.accept(listener, probe.TCP).getpeername()[1] == port


def test_a_port_where_nobody_listens_refuses(fds: Fds) -> None:
    assert fds.try_connect(f"tcp://127.0.0.1:{fds.reserve()}")[0] == "ECONNREFUSED"


@LINUX_ONLY
def test_a_socket_that_reached_itself_is_refused(fds: Fds) -> None:
    port = fds.reserve()
    assert fds.try_connect(f"tcp://127.0.0.1:{port};127.0.0.1:{port}")[0] == "ECONNREFUSED"


def test_accept_with_nobody_waiting(fds: Fds) -> None:
    listener, _ = fds.listen("tcp://127.0.0.1:*")
    code, fd = probe.accept(listener.fileno(), probe.TCP)
    assert (name_of(code), fd) == ("EAGAIN", -1)


def test_accept_reports_what_belongs_to_the_listener(fds: Fds) -> None:
    with socket.socket() as unbound:
        assert name_of(probe.accept(unbound.fileno(), probe.TCP)[0]) == "EINVAL"
    with tempfile.TemporaryFile() as file:
        assert name_of(probe.accept(file.fileno(), probe.TCP)[0]) == "ENOTSOCK"


def test_no_descriptors_left(fds: Fds, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(directory))
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    fds.connect(endpoint)
    assert is_readable(listener.fileno())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        codes = [
            probe.accept(listener.fileno(), probe.TCP)[0],
            probe.connect(endpoint.encode())[0],
            probe.listen(b"tcp://127.0.0.1:*")[0],
            probe.listen(b"ipc://*")[0],
        ]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [name_of(code) for code in codes] == 4 * ["EMFILE"]
    assert list(directory.iterdir()) == []
    fds.accept(listener, probe.TCP)


def test_peer_cuts_to_the_buffer(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    client = fds.connect(endpoint)
    fds.accept(listener, probe.TCP)
    assert [probe.peer(client.fileno(), probe.TCP, size) for size in (0, 1, 4, 10)] == [b"", b"", b"127", b"127.0.0.1"]
    assert probe.peer(listener.fileno(), probe.TCP) == b""


# --- options ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ipv6", [False, pytest.param(True, marks=NEEDS_IPV6)], ids=["ipv4", "ipv6"])
def test_options_reach_the_sockets(fds: Fds, ipv6: bool) -> None:
    # SNDBUF and RCVBUF are well above what the system gives by itself when set, and Linux reports the double.
    options = {"ipv6": ipv6, "sndbuf": 30000, "rcvbuf": 31000, "tos": 0x28, "keepalive": 1}
    options |= {"keepalive_cnt": 5, "keepalive_idle_s": 111, "keepalive_intvl_s": 22, "maxrt_ms": 12345}
    listener, endpoint = fds.listen("tcp://[::1]:*" if ipv6 else "tcp://127.0.0.1:*", **options)
    client = fds.connect(endpoint, **options)
    server = fds.accept(listener, probe.TCP, **options)
    for sock in (listener, client, server):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) in (30000, 60000)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) in (31000, 62000)
        if ipv6:
            assert sock.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS) == 0x28
        else:
            assert sock.getsockopt(socket.IPPROTO_IP, socket.IP_TOS) == 0x28
    for sock in (client, server):
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if sys.platform.startswith("linux"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 5
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 111
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 22
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 12345


@LINUX_ONLY
def test_defaults_leave_the_system_alone(fds: Fds) -> None:
    with socket.socket() as plain:
        wanted = [
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE),
            (socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
            (socket.IPPROTO_IP, socket.IP_TOS),
        ]
        expected = [plain.getsockopt(*option) for option in wanted]
    listener, endpoint = fds.listen("tcp://127.0.0.1:*", keepalive_idle_s=111, keepalive_cnt=3)
    client = fds.connect(endpoint, keepalive_idle_s=111, keepalive_cnt=3)
    server = fds.accept(listener, probe.TCP, keepalive_idle_s=111, keepalive_cnt=3)
    for sock in (client, server):
        assert [sock.getsockopt(*option) for option in wanted] == expected


def congestion_of(sock: socket.socket) -> str:
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16).rstrip(b"\0").decode()


@LINUX_ONLY
def test_a_connection_within_the_machine_is_not_paced(fds: Fds) -> None:
    with socket.socket() as plain:
        default = congestion_of(plain)
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    client = fds.connect(endpoint)
    server = fds.accept(listener, probe.TCP)
    expected = "reno" if default.startswith("bbr") else default
    assert [congestion_of(client), congestion_of(server)] == [expected, expected]


@LINUX_ONLY
@pytest.mark.parametrize(("given", "expected"), [("bbr", "reno"), ("reno", "reno"), ("cubic", "cubic")])
def test_only_pacing_is_overruled(fds: Fds, given: str, expected: str) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    try:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, given.encode())  # inherited by what it accepts
    except OSError:
        pytest.skip(f"{given} is not to be had here")
    fds.connect(endpoint)
    assert congestion_of(fds.accept(listener, probe.TCP)) == expected


def test_keepalive_can_be_switched_off(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    fds.connect(endpoint)
    server = fds.accept(listener, probe.TCP, keepalive=0)
    assert not server.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@LINUX_ONLY
def test_an_option_that_the_kernel_refuses_is_reported(fds: Fds) -> None:
    listener, endpoint = fds.listen("tcp://127.0.0.1:*")
    refused = {"keepalive": 1, "keepalive_idle_s": 1_000_000}
    assert name_of(probe.connect(endpoint.encode(), **refused)[0]) == "EINVAL"
    fds.connect(endpoint)
    assert is_readable(listener.fileno())
    code, fd = probe.accept(listener.fileno(), probe.TCP, **refused)
    assert (name_of(code), fd) == ("EINVAL", -1)


@LINUX_ONLY
def test_backlog_bounds_the_waiting_connections(directory: Path, fds: Fds) -> None:
    fds.listen(f"ipc://{directory}/s", backlog=0)
    fds.connect(f"ipc://{directory}/s")
    code, fd = probe.connect(os.fsencode(f"ipc://{directory}/s"))
    assert (name_of(code), fd) == ("EAGAIN", -1)


@LINUX_ONLY
def test_an_unknown_device_shows_at_bind_and_connect(fds: Fds) -> None:
    _, endpoint = fds.listen("tcp://127.0.0.1:*")
    outcomes = {
        name_of(probe.listen(b"tcp://127.0.0.1:*", device=b"nosuchdevice0000")[0]),
        name_of(probe.connect(endpoint.encode(), device=b"nosuchdevice0000")[0]),
    }
    # EPERM: kernels before 5.7 ask for CAP_NET_RAW first.
    assert outcomes in ({"ENODEV"}, {"EPERM"})


@LINUX_ONLY
def test_the_loopback_device_serves(fds: Fds) -> None:
    code, fd, resolved = probe.listen(b"tcp://127.0.0.1:*", device=LOOPBACK.encode())
    if name_of(code) == "EPERM":
        pytest.skip("binding to a device is not allowed here")
    assert name_of(code) == "ok"
    listener = fds.keep(fd)
    assert listener.getsockopt(socket.SOL_SOCKET, 25, 17).rstrip(b"\0") == LOOPBACK.encode()
    fds.connect(resolved.decode(), device=LOOPBACK.encode())
    fds.accept(listener, probe.TCP)


def test_use_fd_of_tcp(fds: Fds) -> None:
    with socket.socket() as given_socket:
        given_socket.bind(("127.0.0.1", 0))
        given_socket.listen()
        port = given_socket.getsockname()[1]
        # The text is ignored but for its form.
        listener, endpoint = fds.listen("tcp://127.0.0.9:1", use_fd=given_socket.fileno())
        given_socket.detach()
    assert endpoint == f"tcp://127.0.0.1:{port}"
    assert_usual_flags(listener)
    fds.connect(endpoint)
    fds.accept(listener, probe.TCP)


@pytest.mark.parametrize("name", ["tmp123456/given", "directory/socket", "tmp1234567/socket", "socket"])
def test_use_fd_of_ipc_keeps_the_file(fds: Fds, directory: Path, name: str) -> None:
    path = directory / "d" / name
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as given_socket:
        given_socket.bind(str(path))
        given_socket.listen()
        code, fd, resolved = probe.listen(b"ipc://*", use_fd=given_socket.fileno())
        given_socket.detach()
    assert (code, resolved) == (0, os.fsencode(f"ipc://{path}"))
    fds.connect(f"ipc://{path}")
    assert probe.unlisten(b"ipc://*", resolved, fd) == 0
    assert path.exists()


def test_use_fd_of_another_kind_is_refused_and_left_open(directory: Path) -> None:
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as ipc, tempfile.TemporaryFile() as file:
        assert name_of(probe.listen(b"ipc:///tmp/x", use_fd=tcp.fileno())[0]) == "EINVAL"
        assert name_of(probe.listen(b"tcp://127.0.0.1:*", use_fd=ipc.fileno())[0]) == "EINVAL"
        assert name_of(probe.listen(b"tcp://127.0.0.1:*", use_fd=file.fileno())[0]) == "ENOTSOCK"
        for opened in (tcp, ipc, file):
            os.fstat(opened.fileno())


# --- ipc -------------------------------------------------------------------------------------------------------------


def test_ipc_round_trip_and_the_file_stays(fds: Fds, directory: Path) -> None:
    text = f"ipc://{directory}/s\u00e9 1;2:3"
    listener, endpoint = fds.listen(text)
    assert endpoint == text
    client = fds.connect(text, sndbuf=1, tos=8, keepalive=1)
    server = fds.accept(listener, probe.IPC, sndbuf=1, tos=8, keepalive=1)
    for sock in (listener, client, server):
        assert_usual_flags(sock)
    assert_round_trip(client, server)
    assert probe.peer(server.fileno(), probe.IPC) == b""
    assert probe.unlisten(os.fsencode(text), os.fsencode(endpoint), listener.detach()) == 0
    assert Path(os.fsdecode(os.fsencode(text)[len("ipc://") :])).exists()
    code, fd = probe.connect(os.fsencode(text))
    assert (name_of(code), fd) == ("ECONNREFUSED", -1)


def test_ipc_path_of_the_longest_size(fds: Fds, directory: Path) -> None:
    path = f"{directory}/".ljust(107 if sys.platform.startswith("linux") else 103, "x")
    listener, endpoint = fds.listen(f"ipc://{path}")
    assert endpoint == f"ipc://{path}"
    fds.connect(endpoint)
    fds.accept(listener, probe.IPC)


def test_ipc_connect_where_nothing_is(directory: Path) -> None:
    assert name_of(probe.connect(os.fsencode(f"ipc://{directory}/s"))[0]) == "ENOENT"
    (directory / "*").touch()
    assert name_of(probe.connect(os.fsencode(f"ipc://{directory}/*"))[0]) == "ECONNREFUSED"


@pytest.mark.parametrize("size", [1, 20, 106])
@LINUX_ONLY
def test_ipc_abstract_name(fds: Fds, directory: Path, size: int) -> None:
    text = f"ipc://@{directory.name}{os.getpid()}".ljust(len("ipc://@") + size, "n")[: len("ipc://@") + size]
    code, fd, resolved = probe.listen(text.encode())
    if size == 1 and name_of(code) == "EADDRINUSE":
        pytest.skip("somebody has this one-letter name")
    assert (name_of(code), resolved.decode()) == ("ok", text)
    listener = fds.keep(fd)
    assert listener.getsockname() == b"\0" + text[len("ipc://@") :].encode()
    assert_round_trip(fds.connect(text), fds.accept(listener, probe.IPC))
    assert bind_outcome(text, False)[0] == "EADDRINUSE"


def test_ipc_bind_takes_the_file_of_a_live_listener(fds: Fds, directory: Path) -> None:
    (directory / "s").write_text("any file")
    old, endpoint = fds.listen(f"ipc://{directory}/s")
    new, _ = fds.listen(f"ipc://{directory}/s")
    fds.connect(endpoint)
    fds.accept(new, probe.IPC)
    assert name_of(probe.accept(old.fileno(), probe.IPC)[0]) == "EAGAIN"


TEMP_VARIABLES = ("TMPDIR", "TEMPDIR", "TMP")


@pytest.fixture
def no_temp_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in TEMP_VARIABLES:
        monkeypatch.delenv(name, raising=False)


def assert_wildcard(fds: Fds, parent: str, directory: Path) -> None:
    code, fd, resolved = probe.listen(b"ipc://*")
    assert name_of(code) == "ok"
    head, _, tail = os.fsdecode(resolved).rpartition("/tmp" if parent else "tmp")
    assert head == (f"ipc://{parent}" if parent else "ipc://")
    assert len(tail) == len("XXXXXX/socket") and tail.endswith("/socket")
    made = list(directory.glob("tmp*/socket"))
    assert len(made) == 1 and made[0].is_socket()
    listener = fds.keep(fd)
    assert_round_trip(fds.connect(os.fsdecode(resolved)), fds.accept(listener, probe.IPC))
    assert probe.unlisten(b"ipc://*", resolved, listener.detach()) == 0
    assert list(directory.glob("tmp*")) == []


@pytest.mark.parametrize("variable", TEMP_VARIABLES)
def test_ipc_wildcard_in_a_temporary_directory(
    variable: str, fds: Fds, directory: Path, monkeypatch: pytest.MonkeyPatch, no_temp_variables: None
) -> None:
    monkeypatch.setenv(variable, str(directory))
    assert_wildcard(fds, str(directory), directory)
    monkeypatch.setenv(variable, f"{directory}/")
    assert_wildcard(fds, str(directory), directory)


@pytest.mark.parametrize("value", [None, "", "/nonexistent", __file__], ids=["unset", "empty", "missing", "file"])
def test_ipc_wildcard_in_the_current_directory(
    value: str | None, fds: Fds, directory: Path, monkeypatch: pytest.MonkeyPatch, no_temp_variables: None
) -> None:
    monkeypatch.chdir(directory)
    if value is not None:
        monkeypatch.setenv("TMPDIR", value)
    assert_wildcard(fds, "", directory)


@pytest.mark.parametrize("size", [91, 92, 200, 3000])
def test_ipc_wildcard_where_the_directory_is_too_deep(
    size: int, directory: Path, monkeypatch: pytest.MonkeyPatch, no_temp_variables: None
) -> None:
    deep = str(directory)
    while len(deep) < size:
        deep += "/" + (min(size - len(deep) - 1, 200) or 1) * "d"
    os.makedirs(deep)
    monkeypatch.setenv("TMPDIR", deep)
    outcome, endpoint = bind_outcome("ipc://*", False)
    # "/tmpXXXXXX/socket" has 17 bytes, and sun_path holds 107 on Linux.
    assert outcome == ("ok" if len(deep) + 17 <= 107 else "ENAMETOOLONG")
    assert os.listdir(deep) == []


def test_ipc_wildcard_removal_reports_what_is_missing(
    directory: Path, monkeypatch: pytest.MonkeyPatch, no_temp_variables: None
) -> None:
    monkeypatch.setenv("TMPDIR", str(directory))
    code, fd, resolved = probe.listen(b"ipc://*")
    assert name_of(code) == "ok"
    (made,) = directory.glob("tmp*/socket")
    made.unlink()
    assert name_of(probe.unlisten(b"ipc://*", resolved, fd)) == "ENOENT"
    assert list(directory.glob("tmp*")) == []


# --- unbind ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "text", "ipv6", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", False, True),
        ("127.0.0.1", "localhost", False, True),
        ("127.0.0.1", "127.1", False, True),
        ("127.0.0.1", "[::ffff:127.0.0.1]", False, True),
        ("127.0.0.1", "127.0.0.2", False, False),
        ("*", "*", False, False),
        ("*", "0.0.0.0", False, True),
        (LOOPBACK, LOOPBACK, False, False),
        (LOOPBACK, "127.0.0.1", False, True),
        pytest.param("127.0.0.1", "127.0.0.1", True, True, marks=NEEDS_IPV6),
        pytest.param("::1", "[::1]", True, True, marks=NEEDS_IPV6),
        pytest.param("[::1]", "::1", True, True, marks=NEEDS_IPV6),
        pytest.param("*", "*", True, False, marks=NEEDS_IPV6),
        pytest.param("*", "[::]", True, True, marks=NEEDS_IPV6),
    ],
)
def test_unbind_by_an_equivalent_text(bound: str, text: str, ipv6: bool, expected: bool) -> None:
    code, fd, resolved = probe.listen(f"tcp://{bound}:*".encode(), ipv6=ipv6)
    assert name_of(code) == "ok"
    os.close(fd)
    port = resolved.decode().rpartition(":")[2]
    assert (probe.figures(f"tcp://{text}:{port}".encode(), ipv6) == resolved) is expected
    assert probe.figures(f"tcp://{text}:{int(port) ^ 1}".encode(), ipv6) != resolved
    assert name_of(probe.figures(f"tcp://{text}:*".encode(), ipv6)) == "EINVAL"

    def bind_and_unbind(sock: zmq.Socket[bytes]) -> None:
        sock.bind(f"tcp://{bound}:*")
        taken = last_endpoint(sock).rpartition(":")[2]
        sock.unbind(f"tcp://{text}:{taken}")

    assert call_libzmq(bind_and_unbind, ipv6)[0] == ("ok" if expected else "ENOENT")


@pytest.mark.parametrize("text", [b"ipc:///tmp/a", b"ipc://*", b"inproc://a"])
def test_only_tcp_has_figures(text: bytes) -> None:
    assert name_of(probe.figures(text)) == "EINVAL"
