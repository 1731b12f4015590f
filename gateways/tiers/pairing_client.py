"""How a lower hub shows its ticket: one POST to the upper one. The address comes out of a ticket that a person was handed."""

import ssl

import httpx

from commhub.domain.errors import InvalidError, UnavailableError
from commhub.ports.tiers import Body, TierRefusedError

PATH = "/tiers/pair"
_LONGEST = 16_384


class PairingClient:
    """`commhub.ports.tiers.PairingCall`."""

    def __init__(self, ca_file: str | None = None, timeout_s: float = 10.0) -> None:
        self._ca_file = ca_file
        self._timeout_s = timeout_s

    async def __call__(self, url: str, body: Body) -> Body:
        trust = ssl.create_default_context(cafile=self._ca_file)
        try:
            async with httpx.AsyncClient(
                verify=trust, timeout=self._timeout_s, trust_env=False
            ) as client:
                answer = await client.post(url.rstrip("/") + PATH, json=dict(body))
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise UnavailableError(f"{url} cannot be reached: {error}") from error
        if len(answer.content) > _LONGEST:
            raise InvalidError(f"what answers at {url} is no hub")
        try:
            said = answer.json()
        except ValueError as error:
            raise InvalidError(f"what answers at {url} is no hub ({answer.status_code})") from error
        if not isinstance(said, dict):
            raise InvalidError(f"what answers at {url} is no hub ({answer.status_code})")
        if answer.is_error:
            reason = str(said.get("detail") or said.get("title") or answer.status_code)
            raise TierRefusedError(reason[:300], code=str(said.get("code", answer.status_code)))
        return said
