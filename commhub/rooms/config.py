"""What rooms are told by settings."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from commhub.domain.recording import KEEP_DAYS, KeepDays


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomConfig:
    """`prefix` and a room's number are what is dialled to be in it. `public_url` is the hub as guests and cameras reach it.
    Guest links are good for `invitation_for`, a camera's token for `camera_token_for`; a camera that nobody watches is
    stopped after `idle_for`. `folder` is where the picture engine stores recordings, kept for `keep` days."""

    prefix: str = "8"
    public_url: str = "http://127.0.0.1:8000"
    invitation_for: timedelta = timedelta(hours=24)
    camera_token_for: timedelta = timedelta(hours=12)
    camera_answers_within: timedelta = timedelta(seconds=20)
    idle_for: timedelta = timedelta(seconds=30)
    folder: Path = Path("recordings")
    keep: KeepDays = field(default_factory=lambda: KEEP_DAYS)
    compare_every_s: float = 5.0
