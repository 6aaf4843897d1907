"""Ogg streams whose bytes depend on the sound alone: encoder output -> **fixed serial number** -> file.

libsndfile draws the stream's serial number from the clock, so that equal sounds gave unequal files. The page
layout and the checksum are those of RFC 3533 (Pfeiffer 2003), section 6.
"""

import struct
import zlib
from collections.abc import Iterator

REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # the bits of each byte in reverse


def with_serial(stream: bytes, serial: int) -> bytes:
    """The same Ogg stream under another serial number, with checksums that fit.

    Raises:
        ValueError: not a sequence of Ogg pages.
    """
    return b"".join(_renumbered(page, serial) for page in pages(stream))


def pages(stream: bytes) -> Iterator[bytes]:
    """The pages of an Ogg stream in order.

    Raises:
        ValueError: not a sequence of Ogg pages.
    """
    start = 0
    while start < len(stream):
        if stream[start : start + 4] != b"OggS" or len(stream) < start + 27:
            raise ValueError(f"no Ogg page at byte {start}")
        n_lengths = stream[start + 26]
        lengths = stream[start + 27 : start + 27 + n_lengths]
        end = start + 27 + n_lengths + sum(lengths)
        if end > len(stream):
            raise ValueError(f"the Ogg page at byte {start} is cut off")
        yield stream[start:end]
        start = end


def _renumbered(page: bytes, serial: int) -> bytes:
    empty = page[:14] + struct.pack("<I", serial) + page[18:22] + bytes(4) + page[26:]
    return empty[:22] + struct.pack("<I", checksum(empty)) + empty[26:]


def checksum(page: bytes) -> int:
    """CRC-32 of a page whose checksum field is zero: polynomial 04C11DB7, most significant bit first, start 0.

    zlib's CRC has the same polynomial with bits in reverse, start and end inverted; so it is fed reversed bytes.
    """
    reflected = zlib.crc32(page.translate(REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{reflected:032b}"[::-1], 2)
