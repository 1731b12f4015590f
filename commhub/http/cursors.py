"""Lists page by page: an opaque cursor, a limit, and the page itself.

A route takes `page: PageQuery`, asks its service for `page.fetch` items before `page.before`, and answers
`page.of(items, IncidentView.model_validate, key=lambda i: i.id)`. One item more than asked for is fetched,
so `next` is null exactly when there is nothing older.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import Depends, Query

from commhub.domain.errors import InvalidError
from commhub.http.views import Page

DEFAULT_LIMIT = 50
MAX_LIMIT = 200

# Changes when the meaning of what follows it changes: an old cursor is then refused, not misread.
_VERSION = "1:"

ItemT = TypeVar("ItemT")
ViewT = TypeVar("ViewT")


def encode(position: str) -> str:
    """Make the cursor of the last row seen."""
    return base64.urlsafe_b64encode((_VERSION + position).encode()).decode().rstrip("=")


def decode(cursor: str) -> str:
    """Read a cursor of ours. Raises InvalidError for anything else."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    position = text.removeprefix(_VERSION)
    if not text.startswith(_VERSION) or not position or not position.isprintable():
        raise InvalidError("this is no cursor of this list; start again without one")
    return position


@dataclass(frozen=True, slots=True)
class PageRequest:
    """`before` is the id of the last row seen (None: from the newest), `limit` how many items to answer."""

    before: str | None
    limit: int

    @property
    def fetch(self) -> int:
        """How many rows to ask the store for."""
        return self.limit + 1

    @property
    def before_number(self) -> int | None:
        """`before` for rows that are numbered. Raises InvalidError."""
        if self.before is None:
            return None
        if not self.before.isascii() or not self.before.isdecimal() or len(self.before) > 18:
            raise InvalidError("this is no cursor of this list; start again without one")
        return int(self.before)

    def of(
        self,
        items: Sequence[ItemT],
        view: Callable[[ItemT], ViewT],
        *,
        key: Callable[[ItemT], str | int],
    ) -> Page[ViewT]:
        """Build the page from `fetch` rows or fewer, newest first."""
        shown = items[: self.limit]
        more = len(items) > self.limit
        return Page(
            items=[view(item) for item in shown],
            next=encode(str(key(shown[-1]))) if more else None,
        )


def _page_request(
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page")] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
) -> PageRequest:
    return PageRequest(decode(cursor) if cursor else None, limit)


PageQuery = Annotated[PageRequest, Depends(_page_request)]
