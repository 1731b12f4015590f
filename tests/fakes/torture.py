"""The 49 messages of RFC 4475 as files, in the notation of its section 2: `<allOneLine>` joins lines, `<hex>` gives bytes
that cannot be written, `<repeat count=N>` repeats; every other line ends with CR LF on the wire."""

import re
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "unit" / "sip" / "torture"

_HEX = re.compile(rb"<hex>([0-9A-F]*)</hex>")
_REPEAT = re.compile(rb"<repeat count=(\d+)>(.*?)</repeat>")
_ONE_LINE = re.compile(rb"<allOneLine>\n(.*?)\n</allOneLine>\n", re.DOTALL)


def torture(name):
    """A message as it goes over the wire."""
    data = (FOLDER / f"{name}.txt").read_bytes()
    # Lines first: a byte that is written as hex may itself be a line feed.
    data = _ONE_LINE.sub(lambda found: found[1].replace(b"\n", b"") + b"\n", data)
    data = data.replace(b"\n", b"\r\n")
    data = _REPEAT.sub(lambda found: found[2] * int(found[1]), data)
    return _HEX.sub(lambda found: bytes.fromhex(found[1].decode()), data)


def names():
    """All there are, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.txt"))
