"""RFC 32 (Z85)."""

from __future__ import annotations

import errno
import os

import pytest

from tests.native import _probe_z85 as probe

SAMPLE = bytes.fromhex("864fd26fb559f75b")


def test_the_sample_of_the_rfc() -> None:
    """As a test case, a frame containing these 8 bytes SHALL encode as the following 10 characters."""
    assert probe.encode(SAMPLE) == b"HelloWorld"
    assert probe.decode(b"HelloWorld") == SAMPLE


@pytest.mark.parametrize("data", [b"", bytes(32), b"\xff" * 32, os.urandom(32), os.urandom(256)], ids=len)
def test_there_and_back(data: bytes) -> None:
    assert probe.decode(probe.encode(data)) == data


def test_every_digit() -> None:
    digits = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
    for value in range(256):
        decoded = probe.decode(b"0000" + bytes([value]))
        assert decoded == (bytes([0, 0, 0, digits.index(value)]) if value in digits else -errno.EINVAL)


def test_five_digits_may_be_worth_too_much() -> None:
    assert probe.encode(b"\xff" * 4) == b"%nSc0"
    assert probe.decode(b"%nSc1") == -errno.EINVAL
    assert probe.decode(b"#####") == -errno.EINVAL
