"""The API an app calls: token, send, update, recall, contacts and the group robot's webhook."""

import asyncio
import json
import re
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import APIRouter, Request

from simulators.wecom import errors as e
from simulators.wecom.errors import WeComError
from simulators.wecom.model import CODE_LIFE_S, RECALL_WITHIN_S, Card, Memory, Text

Json = dict[str, Any]

TOKEN_LIFE_S = 7200
_TASK_ID = re.compile(r"[0-9A-Za-z_\-@]{1,128}")
_LOOK_EVERY_S = 0.05


@dataclass(frozen=True, slots=True)
class App:
    """The app that this server knows."""

    corp_id: str
    agent_id: int
    secret: str = field(repr=False)
    callback_url: str


class Api:
    """The behaviour behind the routes."""

    def __init__(self, app: App, memory: Memory) -> None:
        self._app = app
        self._memory = memory

    def get_token(self, corp_id: str, secret: str) -> Json:
        """doc: D/91039. assumed: a second request gives a new token and the old one stays good."""
        if corp_id != self._app.corp_id:
            raise WeComError(e.BAD_CORP, "invalid corpid")
        if not secrets.compare_digest(secret, self._app.secret):
            raise WeComError(e.BAD_SECRET, "invalid credential")
        token = secrets.token_urlsafe(96)
        self._memory.tokens[token] = self._memory.clock.now() + TOKEN_LIFE_S
        self._memory.tokens_issued += 1
        return {"access_token": token, "expires_in": TOKEN_LIFE_S}

    def check_token(self, token: str) -> None:
        """doc: D/91039, it can be revoked before its time; D/90313 for the codes."""
        until = self._memory.tokens.get(token)
        if until is None or token in self._memory.revoked:
            raise WeComError(e.BAD_TOKEN, "invalid access_token")
        if until <= self._memory.clock.now():
            raise WeComError(e.EXPIRED_TOKEN, "access_token expired")

    def send(self, body: Json) -> Json:
        """doc: D/90236."""
        if body.get("agentid") != self._app.agent_id:
            raise WeComError(e.BAD_AGENT, "invalid agentid")
        if (repeated := self._repeat_of(body)) is not None:
            return repeated
        users = [user for user in str(body.get("touser", "")).split("|") if user]
        known = self._memory.known_users
        # doc: D/90236, unknown users come back in lower case, and only all of them unknown is an error.
        unknown = [
            user.lower() for user in users if known is not None and user.lower() not in known
        ]
        if len(unknown) == len(users):
            raise WeComError(e.NOBODY_REACHED, "user & party & tag all invalid")
        reached = [user.lower() for user in users if user.lower() not in unknown]
        match body.get("msgtype"):
            case "template_card":
                answer = self._send_card(body.get("template_card", {}), reached)
            case "text":
                answer = self._send_text(str(body.get("text", {}).get("content", "")), reached)
            case other:
                raise WeComError(e.BAD_MESSAGE, f"invalid message type {other}")
        answer |= {"invaliduser": "|".join(unknown), "invalidparty": "", "invalidtag": ""}
        self._memory.fingerprints[_fingerprint(body)] = (self._memory.clock.now(), answer)
        return answer

    def _repeat_of(self, body: Json) -> Json | None:
        """doc: D/90236, duplicate check. assumed: a repeat is answered like the first and not shown again."""
        if not body.get("enable_duplicate_check"):
            return None
        found = self._memory.fingerprints.get(_fingerprint(body))
        interval = min(int(body.get("duplicate_check_interval", 1800)), 4 * 3600)
        if found is None or self._memory.clock.now() - found[0] > interval:
            return None
        return dict(found[1])

    def _send_card(self, card: Json, users: list[str]) -> Json:
        task_id = str(card.get("task_id", ""))
        self._check_card(card)
        # doc: D/90236, unique per app, from this alphabet, at most 128 bytes.
        if not _TASK_ID.fullmatch(task_id) or any(c.task_id == task_id for c in self._memory.cards):
            raise WeComError(e.BAD_TASK_ID, "invalid task_id")
        msgid = secrets.token_urlsafe(32)
        now = self._memory.clock.now()
        for user in users:
            if self._within_limit(user):
                self._memory.cards.append(Card(user, task_id, msgid, card, now))
        return {"msgid": msgid, "response_code": self._memory.new_code(task_id)}

    def _send_text(self, content: str, users: list[str]) -> Json:
        # doc: D/90236, longer than 2048 bytes is cut.
        content = content.encode()[:2048].decode("utf-8", "ignore")
        msgid = secrets.token_urlsafe(32)
        for user in users:
            if self._within_limit(user):
                self._memory.texts.append(Text(user, msgid, content, self._memory.clock.now()))
        return {"msgid": msgid}

    def _check_card(self, card: Json) -> None:
        """doc: D/90236 for the limits, D/90313 42027–42051 for the codes (which is which is assumed)."""
        buttons = card.get("button_list", [])
        rows = card.get("horizontal_content_list", [])
        # doc: D/90313 43012, an app without a callback URL cannot send cards that call back.
        if not self._app.callback_url:
            raise WeComError(e.NO_CALLBACK_URL, "callback url not set")
        if card.get("card_type") != "button_interaction" or not card.get("main_title", {}).get(
            "title"
        ):
            raise WeComError(e.BAD_CARD, "invalid card_type or main_title")
        if not 1 <= len(buttons) <= 6 or not all(_is_button(button) for button in buttons):
            raise WeComError(e.BAD_BUTTONS, "invalid button_list")
        if len(rows) > 6 or not all(row.get("keyname") for row in rows):
            raise WeComError(e.BAD_CARD + 1, "invalid horizontal_content_list")

    def _within_limit(self, user: str) -> bool:
        """doc: D/90454, 30 a minute to one member; the rest is dropped without a word."""
        times = self._memory.per_member.setdefault(user, deque())
        now = self._memory.clock.now()
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= 30:
            self._memory.dropped += 1
            return False
        times.append(now)
        return True

    def update_card(self, body: Json) -> Json:
        """doc: D/94888. A code works once, within 72 hours."""
        if body.get("agentid") != self._app.agent_id:
            raise WeComError(e.BAD_AGENT, "invalid agentid")
        code = self._memory.codes.get(str(body.get("response_code", "")))
        now = self._memory.clock.now()
        if code is None or code.used or now - code.made_at > CODE_LIFE_S:
            raise WeComError(e.BAD_RESPONSE_CODE, "invalid response_code")
        new_card, button = body.get("template_card"), body.get("button")
        if new_card is not None:
            self._check_card(new_card)
        elif not (isinstance(button, dict) and button.get("replace_name")):
            raise WeComError(e.BAD_BUTTONS, "button.replace_name missing")
        code.used = True
        users = {str(user).lower() for user in body.get("userids", [])}
        missed = set(users)
        for card in self._memory.cards:
            if card.task_id == code.task_id and (card.user in users or body.get("atall") == 1):
                _change(card, new_card, button)
                missed.discard(card.user)
        return {"invaliduser": sorted(missed)}

    def recall(self, body: Json) -> Json:
        """doc: D/94867, within 24 hours."""
        cards = [card for card in self._memory.cards if card.msgid == body.get("msgid")]
        if not cards:
            raise WeComError(e.UNKNOWN_MESSAGE, "invalid msgid")
        if self._memory.clock.now() - cards[0].sent_at > RECALL_WITHIN_S:
            raise WeComError(e.TOO_OLD_TO_RECALL, "msgid past 24 hours")
        for card in cards:
            card.recalled = True
        return {}

    def list_ids(self) -> Json:
        """doc: D/96067. assumed: everybody fits on one page."""
        users = sorted(self._memory.known_users or {card.user for card in self._memory.cards})
        return {
            "next_cursor": "",
            "dept_user": [{"userid": user, "department": 1} for user in users],
        }

    def webhook(self, key: str, body: Json) -> Json:
        """doc: D/99110, 20 messages a minute and robot. assumed: any key but an empty one is a robot."""
        times, now = self._memory.webhook_times, self._memory.clock.now()
        if not key:
            raise WeComError(e.BAD_WEBHOOK_KEY, "invalid webhook url")
        while times and now - times[0] > 60:
            times.popleft()
        if len(times) >= 20:
            raise WeComError(e.THROTTLED, "api freq out of limit")
        times.append(now)
        self._memory.webhook_messages.append(body)
        return {}

    async def strike(self) -> None:
        """The fault that was asked for, before a call has any effect."""
        faults = self._memory.faults
        if faults.error_times > 0:
            faults.error_times -= 1
            raise WeComError(faults.error_code, "as asked for")

    async def hang(self, request: Request) -> None:
        """The call had its effect, and its answer gets lost: nothing comes until the client gives up."""
        faults = self._memory.faults
        if faults.hang > 0 and faults.hang_where in (await request.body()).decode():
            faults.hang -= 1
            while not await request.is_disconnected():  # noqa: ASYNC110 - ASGI tells it only when asked
                await asyncio.sleep(_LOOK_EVERY_S)


def _is_button(button: Json) -> bool:
    key = str(button.get("key", ""))
    return bool(button.get("text")) and 0 < len(key.encode()) <= 1024


def _change(card: Card, new_card: Json | None, button: Json | None) -> None:
    """assumed: a new card without a task_id keeps the one it had, so that its taps still name it."""
    card.updates += 1
    if new_card is not None:
        card.body = new_card
        card.task_id = str(new_card.get("task_id") or card.task_id)
        card.replaced = new_card.get("replace_text") or None
    elif button is not None:
        card.replaced = str(button["replace_name"])


def _parsed(body: bytes) -> Json:
    """doc: D/90313 47001, the body is no JSON object."""
    try:
        found = json.loads(body)
    except ValueError as error:
        raise WeComError(e.NO_JSON, "data format error") from error
    if not isinstance(found, dict):
        raise WeComError(e.NO_JSON, "data format error")
    return found


def _fingerprint(body: Json) -> str:
    return json.dumps(body, sort_keys=True)


def build_router(api: Api) -> APIRouter:
    """`/cgi-bin/…` as WeCom has it."""
    router = APIRouter(prefix="/cgi-bin")

    async def answer(
        request: Request, make: Callable[[], Json], *, token: str | None = None
    ) -> Json:
        try:
            if token is not None:
                api.check_token(token)
            await api.strike()
            made = make()
            await api.hang(request)
        except WeComError as error:
            return {"errcode": error.code, "errmsg": f"{error.message}, hint: [stand-in]"}
        return {"errcode": 0, "errmsg": "ok", **made}

    @router.get("/gettoken")
    async def get_token(request: Request, corpid: str = "", corpsecret: str = "") -> Json:
        return await answer(request, lambda: api.get_token(corpid, corpsecret))

    def add(path: str, act: Callable[[Json], Json]) -> None:
        @router.post(path)
        async def call(request: Request, access_token: str = "") -> Json:
            body = await request.body()
            return await answer(request, lambda: act(_parsed(body)), token=access_token)

    add("/message/send", api.send)
    add("/message/update_template_card", api.update_card)
    add("/message/recall", api.recall)
    add("/user/list_id", lambda _: api.list_ids())

    @router.post("/webhook/send")
    async def webhook(request: Request, key: str = "") -> Json:
        body = await request.body()
        return await answer(request, lambda: api.webhook(key, _parsed(body)))

    return router
