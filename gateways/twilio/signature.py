"""Reading a webhook: a bounded form, and the proof that Twilio sent it.

X-Twilio-Signature is a MAC over the URL and the form with the account's auth token. The URL is the *public* one:
behind a proxy that ends TLS ours differs. The signature has no time in it, so what a repeat may do is bounded by
each leg's generation and by the order of its status reports, not here.
"""

from collections.abc import Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict
from starlette.requests import HTTPConnection, Request
from twilio.request_validator import RequestValidator

from gateways.twilio.errors import ForgeryError

HEADER = "x-twilio-signature"
MAX_BODY = 32 * 1024
_MAX_FIELDS = 200
_LONGEST_SIGNATURE = 128

Form = Mapping[str, str]


class Signatures:
    """Judges requests. One per gateway."""

    def __init__(self, auth_token: str, public_url: str) -> None:
        self._validator = RequestValidator(auth_token)
        self._public_url = public_url.rstrip("/")

    async def read_form(self, request: Request) -> Form:
        """The form of a webhook, of repeated names the first. Raises ForgeryError."""
        body = await _read_bounded(request)
        try:
            pairs = parse_qsl(
                body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS, errors="strict"
            )
        except ValueError as error:
            raise ForgeryError("no_form") from error
        fields = ImmutableMultiDict(pairs)
        url = f"{self._public_url}{request.url.path}"
        if request.url.query:
            url += f"?{request.url.query}"
        if not self._is_signed(url, fields, request):
            raise ForgeryError("signature")
        return dict(reversed(pairs))

    def is_signed_socket(self, connection: HTTPConnection) -> bool:
        """Whether a WebSocket's handshake was signed. Which form of the URL is signed is not documented, so any of
        the likely ones counts."""
        bare = f"{self._public_url}{connection.url.path}".rstrip("/")
        as_socket = "ws" + bare.removeprefix("http")
        forms = (as_socket, f"{as_socket}/", bare, f"{bare}/")
        return any(self._is_signed(url, {}, connection) for url in forms)

    def _is_signed(
        self,
        url: str,
        fields: ImmutableMultiDict[str, str] | Form,
        connection: HTTPConnection,
    ) -> bool:
        given = connection.headers.get(HEADER, "")
        if not given or len(given) > _LONGEST_SIGNATURE:
            return False
        return bool(self._validator.validate(url, fields, given))


async def _read_bounded(request: Request) -> bytes:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ForgeryError("too_large")
    return bytes(body)
