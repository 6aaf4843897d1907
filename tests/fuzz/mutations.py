"""Damage to bytes and values, drawn by a seeded generator: honest file -> **damaged file** -> readers.

Half of the damage is to bytes (any format), half to the values of a text that still parses, because a reader that
only ever sees broken syntax is never asked what it does with a list in the place of a number.
"""

import itertools
import json
import re
import struct
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

from tasks.audio.ogg import checksum

Loader, Dumper = getattr(yaml, "CSafeLoader", yaml.SafeLoader), getattr(yaml, "CSafeDumper", yaml.SafeDumper)
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)
TOKENS = [
    *(b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"\r", b"\n", b'"', b"'", b",,,", b";", b"{", b"}", b"[", b"]", b": "),
    *(b"- ", b"&a *a", b"!!python/object/apply:os.getpid []", b"NaN", b"-Infinity", b"1e309", b"-1", b"9" * 5000),
    *(b"null", b"true", b"../", b"/etc/passwd", b"\x1b[2J", b"=1+1", "\u0663\u00b2\u2028".encode(), b"\xc3\x28"),
    *(b"[" * 3000, b'{"a":' * 3000, b"2001-99-99", b"0x", b"0b", b"~", b"%s%n", b"${jndi}", b"OggS", b"RIFF", b"PK"),
]
VALUES: list[Any] = [
    *(None, True, False, 0, -1, 2**31, 2**63, 10**30, 1e308, -0.5, float("inf"), float("nan")),
    *("", "x", "../..", "\0", "\x1b[31m", "=1+1", "<script>", "1", "NaN", "²", "a\nb", "x" * 5000),
    *([], [[]], [None], ["x", 1], {}, {"": {}}, {"value": None}, {"path": 1}, {"song_id": "x"}),
]


def mutate(content: bytes, random: Random) -> bytes:
    """`content` with one to four kinds of damage."""
    for _ in range(random.choice((1, 1, 1, 2, 2, 4))):
        content = random.choice(DAMAGE)(content, random)
    return content


def place(content: bytes, random: Random) -> int:
    """A position, every second time near the start, where headers are."""
    end = len(content)
    return random.randrange(min(end, 64) if random.random() < 0.5 else end) if end else 0


def span(content: bytes, random: Random) -> slice:
    """A stretch, mostly short."""
    first = place(content, random)
    return slice(first, first + random.choice((1, 2, 4, 8, 40, 400, len(content) or 1)))


def flip(content: bytes, random: Random) -> bytes:
    """One bit turned."""
    if not content:
        return content
    at = place(content, random)
    return content[:at] + bytes([content[at] ^ 1 << random.randrange(8)]) + content[at + 1 :]


def truncate(content: bytes, random: Random) -> bytes:
    """The end is missing."""
    return content[: place(content, random)]


def delete(content: bytes, random: Random) -> bytes:
    """A stretch is missing."""
    gone = span(content, random)
    return content[: gone.start] + content[gone.stop :]


def repeat(content: bytes, random: Random) -> bytes:
    """A stretch stands there again."""
    again = span(content, random)
    return content[: again.stop] + content[again] * random.choice((1, 2, 20)) + content[again.stop :]


def splice(content: bytes, random: Random) -> bytes:
    """A stretch of the file in another place of it."""
    taken, at = content[span(content, random)], place(content, random)
    return content[:at] + taken + content[at + len(taken) * random.randrange(2) :]


def noise(content: bytes, random: Random) -> bytes:
    """A stretch of random bytes, or of zeros."""
    gone = span(content, random)
    size = min(len(content[gone]), 400)
    return (
        content[: gone.start]
        + (random.randbytes(size) if random.random() < 0.7 else bytes(size))
        + content[gone.stop :]
    )


def field(content: bytes, random: Random) -> bytes:
    """A number of 1 to 8 bytes, such as a length, is extreme."""
    code = random.choice(["B", "<H", ">H", "<I", ">I", "<Q", ">Q"])
    size, at = struct.calcsize(code), place(content, random)
    value = random.choice(EXTREMES) % 2 ** (8 * size)
    return content[:at] + struct.pack(code, value) + content[at + size :]


def digits(content: bytes, random: Random) -> bytes:
    """A number in the text is another one."""
    found = list(re.finditer(rb"\d+", content[:100_000]))
    if not found:
        return field(content, random)
    one = random.choice(found)
    other = random.choice((b"0", b"-1", b"1e400", b"99999999999", b"1" * 5000, b"0.1", b"", b"x", b"\xd9\xa3"))
    return content[: one.start()] + other + content[one.end() :]


def token(content: bytes, random: Random) -> bytes:
    """Something that means much to one reader or another."""
    at = place(content, random)
    return content[:at] + random.choice(TOKENS) + content[at + random.randrange(3) :]


Damage = Callable[[bytes, Random], bytes]
DAMAGE: tuple[Damage, ...] = (*(flip, flip, truncate, delete, repeat, splice, noise, field, field, digits, token),)


def other_values(value: Any, random: Random) -> Any:
    """`value` with one of its parts replaced, removed or named otherwise."""
    if not isinstance(value, dict | list) or not value or random.random() < 0.15:
        return random.choice(VALUES)
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, kind = random.choice(keys), random.random()
    changed = dict(value) if isinstance(value, dict) else list(value)
    if kind < 0.15:
        del changed[key]
    elif kind < 0.25 and isinstance(changed, dict):
        changed[random.choice(("", "x", "../x", "<b>", 1, None))] = changed.pop(key)
    else:
        changed[key] = other_values(changed[key], random)
    return changed


def json_values(content: bytes, random: Random) -> bytes:
    """JSON that still parses, with other values."""
    return json.dumps(other_values(json.loads(content), random)).encode()


def json_lines_values(content: bytes, random: Random) -> bytes:
    """One line of a JSONL file with other values."""
    lines = content.splitlines()
    at = random.randrange(len(lines))
    lines[at] = json_values(lines[at], random)
    return b"\n".join(lines) + b"\n"


def yaml_values(content: bytes, random: Random) -> bytes:
    """YAML that still parses, with other values."""
    values = other_values(yaml.load(content, Loader=Loader), random)
    return yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True).encode()


def png_checksums(content: bytes) -> bytes:
    """The PNG with checksums that fit, so that damage reaches what lies behind them."""
    done, at = [content[:8]], 8
    while at + 12 <= len(content):
        size = struct.unpack(">I", content[at : at + 4])[0]
        body = content[at + 4 : at + 8 + size]
        done.append(content[at : at + 4] + body + struct.pack(">I", zlib.crc32(body)))
        at += 12 + size
    return b"".join(done) + content[at:]


def ogg_checksums(content: bytes) -> bytes:
    """The Ogg stream with checksums that fit."""
    done, starts = [], [found.start() for found in re.finditer(b"OggS", content)]
    for first, last in itertools.pairwise([*starts, len(content)]):
        page = content[first:last]
        if len(page) >= 27:
            empty = page[:22] + bytes(4) + page[26:]
            page = page[:22] + struct.pack("<I", checksum(empty)) + page[26:]
        done.append(page)
    return content[: starts[0]] + b"".join(done) if starts else content
