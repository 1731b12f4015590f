"""TURN for browsers that reach the WebRTC port by no path of their own: credentials for a limited time, as coturn's
`use-auth-secret` checks them, so that it need not know our users and we need not tell it of them."""

import base64
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from commhub.kit.clock import Clock
from gateways.webrtc.config import TurnConfig


@dataclass(frozen=True, slots=True)
class IceServer:
    """One server as a browser's RTCConfiguration has it; a `stun:` one needs no credentials."""

    url: str
    username: str | None = None
    credential: str | None = None

    @property
    def link(self) -> str:
        """The server in a Link header (RFC 9725 §4.6)."""
        parts = [f"<{self.url}>", 'rel="ice-server"']
        if self.username is not None:
            parts += [f'username="{self.username}"', f'credential="{self.credential}"']
            parts.append('credential-type="password"')
        return "; ".join(parts)


class IceServers:
    """The servers a far end is told; none without a setting."""

    def __init__(self, config: TurnConfig | None, clock: Clock) -> None:
        self._config = config
        self._clock = clock

    @property
    def ttl_s(self) -> int:
        return self._config.ttl_s if self._config else 0

    def servers(self, name: str) -> Sequence[IceServer]:
        """Those for `name`, by which the server's log tells its users apart."""
        config = self._config
        if config is None:
            return ()
        ends = int(self._clock.now().timestamp()) + config.ttl_s
        username = f"{ends}:{name}"
        # SHA-1 is what the server computes; nothing but the credential hangs on it.
        digest = hmac.new(config.secret, username.encode(), hashlib.sha1).digest()
        credential = base64.b64encode(digest).decode()
        return [
            IceServer(url) if url.startswith("stun") else IceServer(url, username, credential)
            for url in config.urls
        ]

    def headers(self, name: str) -> dict[str, str]:
        """The servers as a Link header; several are one, with commas (RFC 8288 §3)."""
        links = [server.link for server in self.servers(name)]
        return {"Link": ", ".join(links)} if links else {}
