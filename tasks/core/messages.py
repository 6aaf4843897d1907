"""What a message may show of a value: cut, without secrets, without what steers a terminal."""

import os
import re
from pathlib import PurePath

LONGEST = 8000  # characters of one part of a message
SECRET = "token|auth_string|secret|passw|credential|signature|api_?key|access_?key|private_?key"
USER_INFO = re.compile(r"(?<=://)[^\s/?#@]*@")
QUERY = re.compile(rf"([?&][^=&\s#]*(?:{SECRET}|sig)[^=&\s#]*=)[^&\s#]+", re.IGNORECASE)
SECRET_VARIABLE = re.compile(SECRET, re.IGNORECASE)
SHORTEST_SECRET = 8  # characters; a shorter value of a variable would mask ordinary words


def without_secrets(text: str) -> str:
    """The text without user and password in addresses, secret parts of queries, and secrets of the environment.

    >>> without_secrets("https://ann:pw@host/a.zip?part=1&X-Amz-Signature=e2e2")
    'https://***@host/a.zip?part=1&X-Amz-Signature=***'
    """
    text = QUERY.sub(r"\1***", USER_INFO.sub("***@", text))
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and SECRET_VARIABLE.search(name):
            text = text.replace(value, "***")
    return text


def shown(value: object) -> str:
    """A value as a message shows it: cut, without secrets, control characters as escapes, later lines set in.

    >>> shown("a\\x1b[2J\\n  what to do: trust me")
    'a\\\\x1b[2J\\n      what to do: trust me'
    """
    text = str(value)
    if len(text) > LONGEST:
        text = f"{text[:LONGEST]}... ({len(text)} characters)"
    if isinstance(value, PurePath):
        text = text.replace("\n", "\\n")
    lines = without_secrets(text).split("\n")
    later = [line if line.startswith("    ") else f"    {line}" for line in lines[1:]]
    return "\n".join(_escaped(line) for line in [lines[0], *later])


def _escaped(line: str) -> str:
    if line.isprintable():
        return line
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in line)
