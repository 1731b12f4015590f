"""A message as WeCom shows it: a `button_interaction` card (D/90236), its changed form (D/94888), or plain text.

WeCom's lengths are advice in characters (字); they are kept in UTF-8 bytes, three a character, so that Chinese
fills the space and Latin text gets no less. Whatever is cut stays readable behind the card's link.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import urlsplit

from commhub.domain.message import CardAction, Message
from commhub.domain.plain_text import plain_text
from commhub.kit.cutting import cut
from gateways.wecom.task_id import to_task_id

TITLE_BYTES = 36 * 3
SUBTITLE_BYTES = 160 * 3
KEYNAME_BYTES = 5 * 3
VALUE_BYTES = 30 * 3
BUTTON_BYTES = 10 * 3
# The text in place of all buttons has the width of the card.
REPLACED_BYTES = 20 * 3
TEXT_BYTES = 2048
MOST_FIELDS = 6
MOST_BUTTONS = 6
# A repeat of the same request within this time is shown once (D/90236; four hours at most).
DUPLICATE_INTERVAL_S = 4 * 3600

# Text and style of the buttons: 1 blue, 2 red, 3 green, 4 grey.
_BUTTONS = {
    CardAction.ACCEPT: ("接单", 1),
    CardAction.FINISH: ("完成", 3),
    CardAction.RETURN: ("退单", 4),
}

Json = dict[str, Any]


def send_request(message: Message, delivery_id: str, user: str, agent_id: int) -> Json:
    """The body of `message/send`. The same delivery gives the same bytes, so a repeat is a duplicate to WeCom.

    A message without actions goes as text. Raises ValueError when the delivery's id makes no task_id.
    """
    request: Json = {"touser": user, "agentid": agent_id}
    if message.actions:
        card = _card(message, message.actions, _rows(message.fields))
        card["task_id"] = to_task_id(delivery_id)
        request |= {"msgtype": "template_card", "template_card": card}
    else:
        request |= {
            "msgtype": "text",
            "text": {"content": plain_text(message, TEXT_BYTES, _web_link(message.link))},
        }
    return request | {
        "enable_duplicate_check": 1,
        "duplicate_check_interval": DUPLICATE_INTERVAL_S,
    }


def update_request(
    message: Message,
    *,
    status: str,
    actions: Sequence[CardAction],
    by: str,
    user: str,
    agent_id: int,
    response_code: str,
) -> Json:
    """The body of `message/update_template_card`: a new card while something is left to tap, else a grey text.

    The new card names no task_id: it is the same card, and WeCom wants a named one to be new.
    """
    request: Json = {"userids": [user], "agentid": agent_id, "response_code": response_code}
    if not actions:
        return request | {"button": {"replace_name": cut(status, REPLACED_BYTES)}}
    rows = _rows((("状态", " · ".join(filter(None, (status, by)))), *message.fields))
    return request | {"template_card": _card(message, actions, rows)}


def _card(message: Message, actions: Iterable[CardAction], rows: list[Json]) -> Json:
    link = _web_link(message.link)
    if link:
        rows = [
            *rows[: MOST_FIELDS - 1],
            {"type": 1, "keyname": "详情", "value": "打开", "url": link},
        ]
    card: Json = {
        "card_type": "button_interaction",
        "main_title": {"title": cut(message.title.strip() or "任务", TITLE_BYTES)},
        "sub_title_text": cut(message.body, SUBTITLE_BYTES),
        "horizontal_content_list": rows,
        "button_list": [
            {"text": _BUTTONS[action][0], "style": _BUTTONS[action][1], "key": str(action)}
            for action in actions
        ][:MOST_BUTTONS],
    }
    if link:
        card["card_action"] = {"type": 1, "url": link}
    return card


def _rows(fields: Iterable[tuple[str, str]]) -> list[Json]:
    rows = [
        {"keyname": cut(label, KEYNAME_BYTES), "value": cut(value, VALUE_BYTES)}
        for label, value in fields
        # A row without a label is an error to WeCom.
        if label.strip()
    ]
    return rows[:MOST_FIELDS]


def _web_link(link: str | None) -> str | None:
    if link is None or len(link.encode()) > 1024 or urlsplit(link).scheme not in ("http", "https"):
        return None
    return link
