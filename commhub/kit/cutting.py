"""Texts that must not be longer than somebody takes, counted in bytes."""

_ELLIPSIS = "…"


def cut(text: str, most_bytes: int) -> str:
    """The text, or as much of it as fits with an ellipsis; never half a character."""
    data = text.encode("utf-8", "replace")
    if len(data) <= most_bytes:
        return data.decode()
    room = most_bytes - len(_ELLIPSIS.encode())
    return data[:room].decode("utf-8", "ignore") + _ELLIPSIS
