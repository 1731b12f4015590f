"""WHIP (RFC 9725) from the encoder's side: our offer is posted, the answer and the session's address come back.

The address comes of a setting or of a paired hub, but what stands behind it may be anybody's: `allow` is asked of every address
before anything is sent there (the endpoint, where it redirects to, the session's), redirections are few and never from https to
http, and no more is read than an answer may have. Every refusal is a sentence with the far end's status before it. The token goes
to whatever `allow` admits, because endpoints spread their load over other hosts (§4.5).
"""

import asyncio
import json
import logging
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from commhub.domain.errors import (
    ConflictError,
    DomainError,
    InvalidError,
    NotAllowedError,
    NotFoundError,
    UnavailableError,
)
from gateways.webrtc.whip import MAX_BODY, SDP

REDIRECTS_LIMIT = 3
_REDIRECTS = frozenset({307, 308})
_CREATED = 201
_TURNED = range(300, 400)
_OVER = frozenset({200, 202, 204, 404, 410})
"""The session is not there any more."""
_TOLD_LIMIT = 200
_URL_LIMIT = 2048
_HIGHEST_PORT = 65535
_LONGEST_RETRY_S = 3600.0

_WORDS: dict[int, tuple[type[DomainError], str]] = {
    400: (InvalidError, "the offer was not understood"),
    401: (NotAllowedError, "the token was refused"),
    403: (NotAllowedError, "the token does not allow this"),
    404: (NotFoundError, "there is no such endpoint"),
    405: (InvalidError, "this is no WHIP endpoint"),
    406: (InvalidError, "the far end cannot take what was offered"),
    409: (ConflictError, "somebody else publishes there"),
    410: (NotFoundError, "the endpoint is gone"),
    413: (InvalidError, "the offer is too long for the far end"),
    415: (InvalidError, "this is no WHIP endpoint: it takes no SDP"),
    422: (InvalidError, "the far end cannot take what was offered"),
    429: (UnavailableError, "the far end is asked too often"),
    503: (UnavailableError, "the far end is busy"),
}
_SERVER_ERROR = 500

Allow = Callable[[httpx.URL], bool]
"""Whether this hub may send to that address."""


@dataclass(frozen=True, slots=True)
class WhipSession:
    """The far end's answer to our offer, and the session's address, which ends it."""

    answer: str
    url: str


class WhipClient:
    """Use it with `async with`. `ca_file` are the certificates to trust in place of the system's."""

    def __init__(
        self, allow: Allow, *, ca_file: Path | None = None, timeout_s: float = 10.0
    ) -> None:
        self._allow = allow
        self._timeout_s = timeout_s
        context = ssl.create_default_context(cafile=ca_file)
        # The environment's proxies and passwords are nothing a far end should get to see.
        self._client = httpx.AsyncClient(
            timeout=timeout_s,
            verify=context,
            trust_env=False,
            headers={"Accept-Encoding": "identity"},
        )

    async def __aenter__(self) -> Self:
        # httpx writes every URL at INFO, and a session's is all it takes to end it.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        await self._client.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._client.__aexit__(kind, error, traceback)

    async def offer(self, url: str, token: str | None, offer: str) -> WhipSession:
        """Post an offer. Raises UnavailableError (`retry_after_s` in its details, if the far end said so) for what may succeed
        later; NotAllowedError, NotFoundError, ConflictError, InvalidError for what will not."""
        headers = {**_bearer(token), "Content-Type": SDP, "Accept": SDP}
        goal = self._checked(url)
        try:
            async with asyncio.timeout(self._timeout_s):
                for _ in range(REDIRECTS_LIMIT + 1):
                    async with self._client.stream(
                        "POST", goal, content=offer.encode(), headers=headers
                    ) as response:
                        body = await _bounded(response)
                    if response.status_code not in _REDIRECTS:
                        return self._session(response, goal, body)
                    goal = self._checked(_location(response), goal)
        except (TimeoutError, httpx.HTTPError) as error:
            raise _unreachable(error) from error
        raise InvalidError(f"the far end redirects more than {REDIRECTS_LIMIT} times")

    async def end(self, session: WhipSession, token: str | None) -> None:
        """End a session (§4.2); one that is over is fine. Raises as `offer`."""
        goal = self._checked(session.url)
        try:
            async with asyncio.timeout(self._timeout_s):
                async with self._client.stream("DELETE", goal, headers=_bearer(token)) as response:
                    body = await _bounded(response)
        except (TimeoutError, httpx.HTTPError) as error:
            raise _unreachable(error) from error
        if response.status_code not in _OVER:
            raise _refusal(response, body)

    def _session(self, response: httpx.Response, goal: httpx.URL, body: bytes) -> WhipSession:
        """What a last answer says."""
        if response.status_code != _CREATED:
            raise _refusal(response, body)
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind != SDP:
            raise InvalidError(f"201, but the answer is no {SDP}")
        if len(body) > MAX_BODY:
            raise InvalidError(f"201, but the answer has more than {MAX_BODY // 1024} KiB")
        try:
            answer = body.decode()
        except UnicodeDecodeError as error:
            raise InvalidError("201, but the answer is no text") from error
        return WhipSession(answer, str(self._checked(_location(response), goal)))

    def _checked(self, text: str, base: httpx.URL | None = None) -> httpx.URL:
        """An address, as `base` names it, that may be sent to. Raises InvalidError, NotAllowedError."""
        try:
            if len(text) > _URL_LIMIT:
                raise InvalidError("the address is too long")
            url = httpx.URL(text) if base is None else base.join(text)
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise InvalidError("the address is no URL") from error
        is_http = url.scheme in {"http", "https"} and bool(url.host)
        if not is_http or url.userinfo or not 0 < (url.port or 80) <= _HIGHEST_PORT:
            raise InvalidError("an address of WHIP is http(s)://host/…, without a password")
        if base is not None and base.scheme == "https" and url.scheme != "https":
            raise NotAllowedError("the far end leads from https to http")
        if not self._allow(url):
            raise NotAllowedError(
                f"{url.scheme}://{url.netloc.decode()} is not among those allowed"
            )
        return url.copy_with(fragment=None)


def _bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"Authorization": f"Bearer {token}"}


async def _bounded(response: httpx.Response) -> bytes:
    """The body, or the little of it that is enough to see that it is too long."""
    body = bytearray()
    # As it came: unpacking could make any length of it, and nothing packed was asked for.
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > MAX_BODY:
            break
    return bytes(body[: MAX_BODY + 1])


def _location(response: httpx.Response) -> str:
    location: str = response.headers.get("location", "")
    if not location:
        raise InvalidError(f"{response.status_code}, but without the address (Location)")
    return location


def _unreachable(error: Exception) -> UnavailableError:
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return UnavailableError("the far end did not answer in time")
    cause = str(error.__cause__ or error)
    if "CERTIFICATE_VERIFY_FAILED" in cause or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return UnavailableError("the far end's certificate is not trusted")
    return UnavailableError(f"the far end cannot be reached: {type(error).__name__}")


def _refusal(response: httpx.Response, body: bytes) -> DomainError:
    status = response.status_code
    kind, words = _WORDS.get(status, (InvalidError, "the far end refused"))
    if status in _TURNED:
        words = "the far end redirects in a way that would change the request (RFC 9725 §4.5)"
    elif status >= _SERVER_ERROR and status not in _WORDS:
        kind, words = UnavailableError, "the far end has a fault"
    told = _told(response, body)
    details = {"status": status}
    if kind is UnavailableError:
        return kind(_sentence(status, words, told), **details, retry_after_s=_retry_after(response))
    return kind(_sentence(status, words, told), **details)


def _sentence(status: int, words: str, told: str) -> str:
    return f"{status}: {words} ({told})" if told else f"{status}: {words}"


def _told(response: httpx.Response, body: bytes) -> str:
    """What the far end says in words (RFC 9457, or plain text), on one line and not for long."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    text = body[: 4 * _TOLD_LIMIT].decode(errors="replace") if kind == "text/plain" else ""
    if kind.endswith("json"):
        try:
            problem = json.loads(body)
            text = str(problem.get("detail") or problem.get("title") or "")
        except (ValueError, AttributeError, RecursionError):
            text = ""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line[:_TOLD_LIMIT]


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds; a date, which nobody sends here, is passed over."""
    text = response.headers.get("retry-after", "").strip()
    return min(float(text), _LONGEST_RETRY_S) if text.isascii() and text.isdigit() else None
