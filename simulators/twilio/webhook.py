"""Requests to the hub as Twilio makes them: forms, signed with the account's token, repeated as their URL asks."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urldefrag

import httpx

from simulators.twilio.model import Memory

# doc: a webhook has 15 s in all.
_TOTAL_S = 15.0
# assumed: how long Twilio waits between two attempts.
_BETWEEN_S = 0.5


def sign(token: str, url: str, fields: Mapping[str, str]) -> str:
    """doc: Webhooks security. URL, then each name and value in the order of the names, HMAC-SHA1, Base64."""
    text = url + "".join(name + fields[name] for name in sorted(fields))
    return base64.b64encode(hmac.digest(token.encode(), text.encode(), hashlib.sha1)).decode()


class Webhooks:
    """Use `close` at the end."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._http = httpx.AsyncClient(timeout=_TOTAL_S, trust_env=False)

    async def close(self) -> None:
        await self._http.aclose()

    async def post(self, url: str, fields: Mapping[str, str]) -> httpx.Response | None:
        """The answer; None when none came in time. doc: connection overrides are the URL's fragment (rc: how many
        times again); assumed: it is neither sent nor signed."""
        bare, fragment = urldefrag(url)
        overrides = dict(parse_qsl(fragment))
        signature = sign(self._memory.account.token, bare, fields)
        answer: httpx.Response | None = None
        try:
            async with asyncio.timeout(_TOTAL_S):
                for attempt in range(1 + int(overrides.get("rc", 1))):
                    if attempt:
                        await asyncio.sleep(_BETWEEN_S)
                    answer = await self._post_once(bare, fields, signature)
                    if answer is not None and answer.status_code < 500:
                        break
        except TimeoutError:
            pass
        self._memory.webhooks.append(
            {
                "path": httpx.URL(bare).path,
                "call": fields.get("CallSid"),
                "status": fields.get("CallStatus"),
                "answer": None if answer is None else answer.status_code,
            }
        )
        return answer

    async def _post_once(
        self, url: str, fields: Mapping[str, str], signature: str
    ) -> httpx.Response | None:
        try:
            return await self._http.post(
                url, data=dict(fields), headers={"X-Twilio-Signature": signature}
            )
        except httpx.HTTPError:
            return None
