"""What is said to a SOCKS 5 proxy, byte by byte (RFC 1928, RFC 1929)."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.native import _probe_socks as probe

OPEN = b"\5\0"  # no authentication
LOGIN = b"\5\2"  # user name and password
WELCOME = b"\1\0"
IPV4 = b"\1\x7f\0\0\1"
CONNECTED = b"\5\0\0" + IPV4 + b"\0\x50"
REPLIES = [
    CONNECTED,
    b"\5\0\0\4" + bytes(16) + b"\0\x50",
    b"\5\0\0\3\4host\0\x50",
    b"\5\0\0\3\0\0\x50",
    b"\5\0\0\3\xff" + b"h" * 255 + b"\0\x50",
]


def started(user: bytes = b"", password: bytes = b"", host: bytes = b"127.0.0.1", port: int = 80) -> probe.Socks:
    made = probe.Socks(user, password)
    assert made.begin(host, port) == 0
    return made


def feed(talk: probe.Socks, data: bytes, piece: int = 1000) -> int:
    """Gives it data, never more than it wants. The last verdict; everything has to be used."""
    rc = 0
    while data:
        assert rc == 0
        size = min(piece, talk.wants(), len(data))
        assert size > 0
        rc = talk.fill(data[:size])
        data = data[size:]
    return rc


@pytest.mark.parametrize(
    ("user", "password", "method", "login"),
    [
        (b"", b"", b"\0", None),
        (b"", b"word", b"\0", None),
        (b"name", b"word", b"\2", b"\1\4name\4word"),
        (b"name", b"", b"\2", b"\1\4name\0"),
        (b"n" * 255, b"w" * 255, b"\2", b"\1\xff" + b"n" * 255 + b"\xff" + b"w" * 255),
    ],
)
def test_the_method_is_the_only_one_that_is_offered(
    user: bytes, password: bytes, method: bytes, login: bytes | None
) -> None:
    """The client connects to the server, and sends a version identifier/method selection message."""
    talk = started(user, password)
    assert talk.send() == b"\5\1" + method
    assert feed(talk, b"\5" + method) == 0
    if login is not None:
        # Once the SOCKS V5 server has started, and the client has selected the Username/Password Authentication
        # protocol, the Username/Password subnegotiation begins.
        assert talk.send() == login
        assert feed(talk, WELCOME) == 0
    assert talk.send() == b"\5\1\0" + IPV4 + b"\0\x50"


@pytest.mark.parametrize(
    ("host", "address"),
    [
        (b"127.0.0.1", IPV4),
        (b"::1", b"\4" + socket.inet_pton(socket.AF_INET6, "::1")),
        (b"some.host.example", b"\3\x11some.host.example"),
        (b"h" * 255, b"\3\xff" + b"h" * 255),
        # No literal address without help: the proxy may know what to do.
        (b"127.1", b"\3\x05127.1"),
        (b"fe80::1%lo", b"\3\x0afe80::1%lo"),
    ],
)
def test_the_request_has_an_address_or_a_name(host: bytes, address: bytes) -> None:
    """VER CMD RSV ATYP DST.ADDR DST.PORT: names go to the proxy as they are."""
    talk = started(host=host, port=0x1234)
    talk.send()
    feed(talk, OPEN)
    assert talk.send() == b"\5\1\0" + address + b"\x12\x34"


@pytest.mark.parametrize("host", [b"", b"h" * 256])
def test_names_that_do_not_fit(host: bytes) -> None:
    assert probe.Socks().begin(host, 80) == -errno.EINVAL


@pytest.mark.parametrize("piece", [1, 2, 3, 1000])
@pytest.mark.parametrize("reply", REPLIES, ids=lambda reply: f"type{reply[3]}-{len(reply)}")
def test_a_reply_in_pieces_and_not_a_byte_more(reply: bytes, piece: int) -> None:
    """X1: what follows the reply belongs to the server behind the proxy."""
    talk = started(b"name", b"word")
    talk.send()
    assert feed(talk, LOGIN, piece) == 0
    talk.send()
    assert feed(talk, WELCOME, piece) == 0
    talk.send()
    assert feed(talk, reply, piece) == 1
    assert talk.wants() == 0
    assert talk.send() == b""


def test_output_in_pieces() -> None:
    talk = started(b"name", b"word")
    for wanted, answer in (
        (b"\5\1\2", LOGIN), (b"\1\4name\4word", WELCOME), (b"\5\1\0" + IPV4 + b"\0\x50", CONNECTED)
    ):  # fmt: skip
        sent = b""
        while len(sent) < len(wanted):
            assert talk.wants() == 0
            sent += talk.send(1)
        assert sent == wanted
        feed(talk, answer)


@pytest.mark.parametrize(
    ("user", "answers", "wanted"),
    [
        (b"", [b"\4\0"], errno.EPROTO),
        (b"", [b"\5\xff"], errno.EACCES),
        (b"", [b"\5\1"], errno.EACCES),
        (b"", [LOGIN], errno.EACCES),
        (b"n", [b"\5\1"], errno.EACCES),
        (b"n", [LOGIN, b"\1\1"], errno.EACCES),
        (b"n", [LOGIN, b"\1\xff"], errno.EACCES),
        (b"n", [LOGIN, b"\5\0"], errno.EPROTO),
        (b"", [OPEN, b"\4\0\0\1\0"], errno.EPROTO),
        (b"", [OPEN, b"\5\0\1\1\0"], errno.EPROTO),
        (b"", [OPEN, b"\5\0\0\2\0"], errno.EPROTO),
        (b"", [OPEN, b"\5\0\0\0\0"], errno.EPROTO),
        (b"", [OPEN, b"\5\1\0\1\0"], errno.ECONNABORTED),
        (b"", [OPEN, b"\5\2\0\1\0"], errno.EACCES),
        (b"", [OPEN, b"\5\3\0\1\0"], errno.ENETUNREACH),
        (b"", [OPEN, b"\5\4\0\1\0"], errno.EHOSTUNREACH),
        (b"", [OPEN, b"\5\5\0\1\0"], errno.ECONNREFUSED),
        (b"", [OPEN, b"\5\6\0\1\0"], errno.ETIMEDOUT),
        (b"", [OPEN, b"\5\7\0\1\0"], errno.ECONNABORTED),
        (b"", [OPEN, b"\5\xff\0\1\0"], errno.ECONNABORTED),
    ],
)
def test_refusals(user: bytes, answers: list[bytes], wanted: int) -> None:
    talk = started(user)
    for answer in answers[:-1]:
        talk.send()
        assert feed(talk, answer) == 0
    talk.send()
    assert feed(talk, answers[-1]) == -wanted


def test_a_name_is_not_needed_when_the_proxy_says_so() -> None:
    talk = started(b"name", b"word")
    talk.send()
    assert feed(talk, OPEN) == 0
    assert talk.send() == b"\5\1\0" + IPV4 + b"\0\x50"


def test_the_next_attempt_begins_anew() -> None:
    talk = started(b"name", b"word")
    talk.send()
    feed(talk, LOGIN)
    talk.send(3)
    assert talk.begin(b"127.0.0.1", 80) == 0
    assert talk.send() == b"\5\1\2"
    assert talk.wants() == 2


def test_the_password_does_not_stay() -> None:
    talk = started(b"name", b"pass-word")
    talk.send()
    feed(talk, LOGIN)
    assert b"pass-word" in talk.memory()
    talk.send()
    feed(talk, WELCOME)
    assert b"pass-word" not in talk.memory()
    assert talk.begin(b"127.0.0.1", 80) == 0
    talk.send()
    feed(talk, LOGIN)
    talk.fini()
    assert b"pass-word" not in talk.memory()
