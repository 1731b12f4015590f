"""Pictures sent onward: a source of a room to a WHIP ingest (RFC 9725), which is the hub above or anybody else's (推送). And pictures had
from there: what is viewed at its WHEP is a source here."""

from dataclasses import dataclass, field
from typing import Protocol

from commhub.ports.video import PublishOrder, PushOrder


@dataclass(frozen=True, slots=True, kw_only=True)
class PushTarget:
    """The address of an ingest, or of what is viewed, and the token it wants, if any."""

    url: str
    token: str | None = field(default=None, repr=False)


class PicturesOut(Protocol):
    """Sends sources out. What becomes of a push afterwards tells `ports.video.PushesIn`; nothing is tried again by itself."""

    async def push(self, order: PushOrder, target: PushTarget) -> None:
        """Begin, or begin anew: a connection there is goes on until the new one is agreed, and its stream in the new one. Raises
        UnavailableError (perhaps with `retry_after_s` in its details) for what may succeed later, and the other domain
        errors, with the ingest's words, for what will not; then all is as it was."""
        ...

    async def stop(self, session_id: str) -> None:
        """End a push, at both ends where they can be reached; an unknown one is fine."""
        ...


class PicturesIn(Protocol):
    """Has pictures of elsewhere. A watch that is lost is told as `ports.video.VideoIn.session_lost`; nothing is tried again by itself."""

    async def watch(self, order: PublishOrder, target: PushTarget) -> None:
        """Begin. Raises as `PicturesOut.push`; then nothing has begun."""
        ...

    async def stop(self, session_id: str) -> None:
        """End a watch, at both ends where they can be reached; an unknown one is fine."""
        ...
