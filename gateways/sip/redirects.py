"""3xx answers to our INVITEs (RFC 3261 §8.1.3.4): where a phone sends its callers, and how far we follow.

A phone may hand its calls to another account of this hub, or to another place on its own host. Anywhere else would let
whoever holds a phone have the hub call the world: not followed.
"""

from datetime import timedelta

import structlog

from commhub.ports.edge_store import SipBinding
from gateways.sip.core import Core, user_of
from gateways.sip.dialogs import checked_target, hop_of
from gateways.sip.errors import MalformedError
from gateways.sip.grammar import NameAddr, read_uri
from gateways.sip.message import Response
from gateways.sip.registrar import Registrar
from gateways.sip.transport import Hop

log = structlog.get_logger(__name__)

_AT_MOST = 5


class Redirects:
    """Of one leg: at most five places in all, and none twice."""

    def __init__(self, core: Core, registrar: Registrar, account: str) -> None:
        self._core = core
        self._registrar = registrar
        self._account = account
        self._seen = {account}

    async def follow(self, response: Response, source: Hop) -> list[SipBinding]:
        """The contacts to ring instead, the most preferred of the 3xx first; none when it leads nowhere."""
        found: list[SipBinding] = []
        for uri in _targets(response):
            if len(self._seen) > _AT_MOST:
                break
            found += await self._one(uri, source)
        return found

    async def _one(self, uri: str, source: Hop) -> list[SipBinding]:
        try:
            host = read_uri(uri).host.strip("[]")
            hop = hop_of(uri, source.transport)
        except ValueError:
            return []
        if self._is_here(host):
            user = user_of(uri)
            if not user or user in self._seen:
                return []
            self._seen.add(user)
            _, bindings = await self._registrar.reach(user)
            return list(bindings)
        if host != source.host or uri in self._seen:
            log.info("sip_redirect_not_followed")
            return []
        self._seen.add(uri)
        now = self._core.clock.now()
        return [
            SipBinding(
                account=self._account,
                contact=uri,
                received=str(hop),
                transport=hop.transport,
                expires_at=now + timedelta(minutes=5),
                call_id="",
                cseq=0,
            )
        ]

    def _is_here(self, host: str) -> bool:
        config = self._core.config
        return host in (config.public_host.lower(), config.host, config.realm.lower())


def _targets(response: Response) -> list[str]:
    try:
        contacts = response.addresses("Contact")
        ranked = sorted(contacts, key=_preference, reverse=True)
        return [checked_target(contact.uri) for contact in ranked]
    except MalformedError:
        return []


def _preference(contact: NameAddr) -> float:
    try:
        return float(contact.parameters.get("q") or 1)
    except ValueError:
        return 0.0
