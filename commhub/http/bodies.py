"""The base of request bodies: unknown fields are refused, and so is text that no database can keep."""

import math

from pydantic import BaseModel, ConfigDict, model_validator

# Levels of our own walk; a JSON object takes two (itself and its pair).
MAX_DEPTH = 32


def refuse_unstorable(value: object, depth: int = 0) -> None:
    """Raise ValueError for NUL, half a surrogate pair, a number JSON does not have, or endless nesting.

    PostgreSQL keeps no NUL in text, UTF-8 has no surrogates (RFC 3629 §3), and Python's JSON parser lets NaN in
    though RFC 8259 §6 does not.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"nested deeper than {MAX_DEPTH} levels")
    match value:
        case str():
            _refuse_text(value)
        case float() if not math.isfinite(value):
            raise ValueError("a number must be finite")
        case dict():
            for pair in value.items():
                refuse_unstorable(pair, depth + 1)
        case list() | tuple():
            for item in value:
                refuse_unstorable(item, depth + 1)
        case _:
            return


def _refuse_text(text: str) -> None:
    if "\x00" in text:
        raise ValueError("text may not contain NUL")
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        raise ValueError("text may not contain half a surrogate pair")


class Body(BaseModel):
    """Derive request models from this: `class NewCall(Body): legs: list[str]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _storable(cls, value: object) -> object:
        refuse_unstorable(value)
        return value
