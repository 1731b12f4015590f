"""A delivery's id in the alphabet WeCom allows for a card's task_id: digits, letters, `_-@`, at most 128 bytes.

A UUID passes unchanged. Anything else is written as `@` and two hex digits a byte, which can be read back.
"""

import re

MOST_BYTES = 128

_PLAIN = re.compile(r"[0-9A-Za-z_-]+")
_PART = re.compile(r"[0-9A-Za-z_-]|@([0-9a-f]{2})")


def to_task_id(delivery_id: str) -> str:
    """Raises ValueError when the result is empty or longer than 128 bytes."""
    if _PLAIN.fullmatch(delivery_id):
        text = delivery_id
    else:
        text = "".join(
            chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"@{byte:02x}"
            for byte in delivery_id.encode()
        )
    if not 0 < len(text) <= MOST_BYTES:
        raise ValueError(f"a task_id must have 1 to {MOST_BYTES} bytes")
    return text


def to_delivery_id(task_id: str) -> str:
    """What `to_task_id` was given. Raises ValueError for a task_id that it did not make."""
    data = bytearray()
    position = 0
    while position < len(task_id):
        part = _PART.match(task_id, position)
        if part is None:
            raise ValueError("this task_id was not made by the hub")
        data += bytes([int(part[1], 16)]) if part[1] else part[0].encode()
        position = part.end()
    return data.decode()
