"""The other direction: what people tap and write, signed, encrypted and posted to the app's callback URL."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
from wechatpy.enterprise.crypto import WeChatCrypto
from wechatpy.exceptions import WeChatException

from simulators.wecom.api import App
from simulators.wecom.model import Card, Memory, Text

# doc: D/90930, five seconds and three retries.
TIMEOUT_S = 5.0
RETRIES = 3


@dataclass(frozen=True, slots=True)
class CallbackSecret:
    """What the app's callback page shows."""

    token: str = field(repr=False)
    aes_key: str = field(repr=False)


class Clicker:
    """Makes callbacks. `held` are the ones that wait to be sent in the wrong order."""

    def __init__(self, app: App, secret: CallbackSecret, memory: Memory) -> None:
        self._app = app
        self._memory = memory
        self._crypto = WeChatCrypto(secret.token, secret.aes_key, app.corp_id)
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        self._held: list[tuple[str, Card | None]] = []

    async def close(self) -> None:
        await self._http.aclose()

    async def tap(self, user: str, task_id: str | None, key: str) -> dict[str, Any]:
        """Tap a button that is there now. Raises ValueError when it is not."""
        card = self._memory.card(user, task_id)
        keys = [str(button["key"]) for button in card.buttons]
        if key not in keys:
            raise ValueError(
                f"there is no button {key!r} on this card; there are {', '.join(keys) or 'none'}"
            )
        card.taps.append(key)
        # doc: D/94888, every tap brings a code of its own.
        code = self._memory.new_code(card.task_id)
        return await self._deliver(
            self._event(
                user,
                ("Event", "template_card_event"),
                ("EventKey", key),
                ("TaskId", card.task_id),
                ("CardType", "button_interaction"),
                ("ResponseCode", code),
            ),
            card,
        )

    async def say(self, user: str, text: str) -> dict[str, Any]:
        """Write a text to the app. doc: D/90239."""
        now = self._memory.clock.now()
        msgid = str(secrets.randbelow(10**16))
        self._memory.texts.append(Text(user.lower(), msgid, text, now, mine=True))
        fields = (
            ("ToUserName", self._app.corp_id),
            ("FromUserName", user),
            ("CreateTime", str(int(now))),
            ("MsgType", "text"),
            ("Content", text),
            ("MsgId", msgid),
            ("AgentID", str(self._app.agent_id)),
        )
        return await self._deliver(_xml(fields), None)

    async def open_chat(self, user: str, lat: float, lon: float) -> dict[str, Any]:
        """doc: D/90240, LOCATION comes when somebody opens the app's chat."""
        return await self._deliver(
            self._event(
                user,
                ("Event", "LOCATION"),
                ("Latitude", str(lat)),
                ("Longitude", str(lon)),
                ("Precision", "65.0"),
                ("AppType", "wxwork"),
            ),
            None,
        )

    async def forge(self, user: str, task_id: str, key: str) -> dict[str, Any]:
        """A callback by somebody who does not know the token: right in form, wrongly signed."""
        fields = (("Event", "template_card_event"), ("EventKey", key), ("TaskId", task_id))
        body, query = self._seal(self._event(user, *fields))
        response = await self._http.post(
            self._app.callback_url, params={**query, "msg_signature": "0" * 40}, content=body
        )
        return {"status": response.status_code, "answer": response.text}

    async def verify_url(self) -> dict[str, Any]:
        """doc: D/90930, what happens when the callback URL is saved."""
        plain = str(secrets.randbelow(10**16))
        sealed = self._crypto.encrypt_message(plain, _nonce(), self._timestamp())
        query = _query_of(sealed)
        response = await self._http.get(
            self._app.callback_url, params={**query, "echostr": _element(sealed, "Encrypt")}
        )
        return {"status": response.status_code, "matches": response.text == plain}

    def _event(self, user: str, *fields: tuple[str, str]) -> str:
        """doc: D/90240."""
        return _xml(
            (
                ("ToUserName", self._app.corp_id),
                ("FromUserName", user),
                ("CreateTime", self._timestamp()),
                ("MsgType", "event"),
                *fields,
                ("AgentID", str(self._app.agent_id)),
            )
        )

    async def _deliver(self, plain: str, card: Card | None) -> dict[str, Any]:
        """Post it, with whatever fault is switched on."""
        faults = self._memory.faults
        if faults.drop > 0:
            faults.drop -= 1
            return {"status": None, "fault": "dropped"}
        if faults.reorder > 0:
            faults.reorder -= 1
            self._held.append((plain, card))
            if faults.reorder > 0:
                return {"status": None, "fault": "held"}
            held, self._held = self._held, []
            results = [await self._post(text, of) for text, of in reversed(held)]
            return {**results[0], "fault": "reordered", "all": results}
        result = await self._post(plain, card)
        copies, faults.duplicate = faults.duplicate, 0
        if copies:
            # assumed: a repeat may come sealed anew, and at the same time as the others.
            more = await asyncio.gather(*(self._post(plain, card) for _ in range(copies)))
            return {**result, "fault": "duplicated", "all": [result, *more]}
        return result

    async def _post(self, plain: str, card: Card | None) -> dict[str, Any]:
        """assumed: anything but a 200 is retried, as after no answer (the pages disagree); the same request."""
        body, query = self._seal(plain)
        status, attempts, answer = None, 0, ""
        while attempts <= RETRIES and status != 200:
            attempts += 1
            try:
                response = await self._http.post(
                    self._app.callback_url,
                    params=query,
                    content=body,
                    headers={"Content-Type": "text/xml"},
                )
                status, answer = response.status_code, response.text
            except httpx.HTTPError as error:
                status, answer = None, type(error).__name__
        if status == 200 and answer and card is not None:
            self._apply_reply(answer, card)
        result = {"status": status, "attempts": attempts, "answer": answer[:300]}
        self._memory.callbacks.append({"at": self._memory.clock.now(), **result})
        return result

    def _apply_reply(self, reply: str, card: Card) -> None:
        """doc: D/90241, an update_button reply changes the card of whoever tapped."""
        try:
            plain = self._crypto.decrypt_message(
                reply,
                _element(reply, "MsgSignature"),
                _element(reply, "TimeStamp"),
                _element(reply, "Nonce"),
            )
        except (ValueError, WeChatException):
            # assumed: a reply that cannot be read counts as none.
            return
        if _element(plain, "MsgType") == "update_button":
            card.replaced = _element(plain, "ReplaceName")

    def _seal(self, plain: str) -> tuple[str, dict[str, str]]:
        """doc: D/90930, the outer body and the query beside it."""
        sealed = self._crypto.encrypt_message(plain, _nonce(), self._timestamp())
        body = _xml(
            (
                ("ToUserName", self._app.corp_id),
                ("AgentID", str(self._app.agent_id)),
                ("Encrypt", _element(sealed, "Encrypt")),
            )
        )
        return body, _query_of(sealed)

    def _timestamp(self) -> str:
        return str(int(self._memory.clock.now()))


def _nonce() -> str:
    return str(secrets.randbelow(10**10))


def _query_of(sealed: str) -> dict[str, str]:
    return {
        "msg_signature": _element(sealed, "MsgSignature"),
        "timestamp": _element(sealed, "TimeStamp"),
        "nonce": _element(sealed, "Nonce"),
    }


def _xml(fields: Sequence[tuple[str, str]]) -> str:
    # A CDATA section ends at «]]>» and nowhere else, so that is what must be broken up in it.
    return (
        "<xml>"
        + "".join(
            f"<{name}><![CDATA[{value.replace(']]>', ']]]]><![CDATA[>')}]]></{name}>"
            for name, value in fields
        )
        + "</xml>"
    )


def _element(document: str, name: str) -> str:
    """The text of one element of a document made by wechatpy or by us."""
    _, start, rest = document.partition(f"<{name}>")
    text, end, _ = rest.partition(f"</{name}>")
    if not start or not end:
        raise ValueError(f"no element {name}")
    return text.removeprefix("<![CDATA[").removesuffix("]]>").strip()
