"""Z85, the printable form of keys (RFC 32), under the names of zmq.utils.z85."""

from __future__ import annotations

from ._core_curve import decode_z85 as decode
from ._core_curve import encode_z85 as encode

__all__ = ["decode", "encode"]
