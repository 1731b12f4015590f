"""A message as a text and nothing else, for channels without cards."""

from commhub.domain.message import Message
from commhub.kit.cutting import cut


def plain_text(message: Message, most_bytes: int, link: str | None) -> str:
    """Title, body and the rows of its fields, in UTF-8 no longer than `most_bytes`, with the link kept whole at the end."""
    rows = (f"{label}：{value}" for label, value in message.fields)
    text = "\n".join(line for line in (message.title, message.body, *rows) if line.strip())
    tail = f"\n{link}" if link else ""
    return cut(text, most_bytes - len(tail.encode())) + tail
