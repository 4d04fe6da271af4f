"""Keys, Z85, and what is left of CURVE without PyNaCl."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

import zmqcore as zmq
from zmqcore import z85

# The RFC's test vectors and those of zmq_curve_keypair(3).
TEXTS = {bytes.fromhex("864fd26fb559f75b"): b"HelloWorld", b"": b"", bytes(32): b"0" * 40, b"\xff" * 4: b"%nSc0"}


@pytest.mark.parametrize(("data", "text"), TEXTS.items())
def test_z85(data: bytes, text: bytes) -> None:
    assert z85.encode(data) == text
    assert z85.decode(text) == z85.decode(text.decode()) == data


@pytest.mark.parametrize("data", [b"1", b"12345"])
def test_z85_takes_groups_of_four(data: bytes) -> None:
    with pytest.raises(ValueError, match="multiples of 4"):
        z85.encode(data)


@pytest.mark.parametrize("text", [b"1234", b"123456", b"1234~", b"%nSc1", b"####\0", "ähnli"])
def test_what_is_no_z85(text: bytes | str) -> None:
    with pytest.raises(ValueError, match="Z85"):
        z85.decode(text)


def test_keypair() -> None:
    pytest.importorskip("nacl")
    pairs = [zmq.curve_keypair() for _ in range(3)]
    assert len({key for pair in pairs for key in pair}) == 6
    for public, secret in pairs:
        assert len(z85.decode(public)) == len(z85.decode(secret)) == 32
        assert zmq.curve_public(secret) == zmq.curve_public(secret.decode()) == public


def test_public_key_of_libzmq() -> None:
    pytest.importorskip("nacl")
    libzmq = pytest.importorskip("zmq")
    public, secret = libzmq.curve_keypair()
    assert zmq.curve_public(secret) == public
    public, secret = zmq.curve_keypair()
    assert libzmq.curve_public(secret) == public


@pytest.mark.parametrize("secret", [b"", b"x" * 39, b"x" * 41, bytes(32)])
def test_a_secret_key_has_forty_characters(secret: bytes) -> None:
    with pytest.raises(ValueError, match="40 characters"):
        zmq.curve_public(secret)


def test_a_secret_key_that_is_no_z85() -> None:
    pytest.importorskip("nacl")
    with pytest.raises(zmq.ZMQError) as caught:
        zmq.curve_public(b"~" * 40)
    assert caught.value.errno == zmq.EINVAL


def test_has_curve() -> None:
    pytest.importorskip("nacl")
    assert zmq.has("curve") is True


def test_without_pynacl() -> None:
    """As libzmq that was built without CURVE, but saying why; all else goes on."""
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            textwrap.dedent("""
                import sys
                sys.modules["nacl"] = None
                import zmqcore as zmq

                def failure(call, *args):
                    try:
                        call(*args)
                    except zmq.ZMQError as error:
                        assert "pip install zmqcore[curve]" in str(error)
                        return error.errno

                assert zmq.has("curve") is False
                assert failure(zmq.curve_keypair) == failure(zmq.curve_public, b"0" * 40) == zmq.ENOTSUP
                with zmq.Context() as context, context.socket(zmq.PAIR) as one, context.socket(zmq.PAIR) as other:
                    for option in zmq.CURVE_PUBLICKEY, zmq.CURVE_SECRETKEY, zmq.CURVE_SERVERKEY:
                        assert failure(one.setsockopt, option, bytes(32)) == zmq.EINVAL
                    assert failure(one.setsockopt, zmq.CURVE_SERVER, 1) == zmq.EINVAL
                    assert one.mechanism == zmq.NULL
                    one.plain_username = b"still there"
                    assert one.mechanism == zmq.PLAIN
                    one.plain_server = 0
                    port = one.bind_to_random_port("tcp://127.0.0.1")
                    other.connect(f"tcp://127.0.0.1:{port}")
                    other.send(b"hello")
                    assert one.recv() == b"hello"
            """),
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
