"""What the WebRTC edge is told."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class WebRtcConfig:
    """`token_secret` signs leg tokens. A browser whose audio is lost has `return_within_s` seconds to offer
    again; a desk that rings is given up after the time its order says."""

    token_secret: bytes = field(repr=False)
    return_within_s: float = 15.0
