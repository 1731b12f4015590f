"""What is written on a link: one JSON object a frame, read by `t`. See `docs/protocols/tiers.md`."""

import json
from collections.abc import Mapping
from datetime import datetime

from commhub.domain.tier import MessageState, TierMessage
from gateways.tiers.errors import Code, LinkDownError

MAX_FRAME = 1_000_000
Frame = Mapping[str, object]


def encode(frame: Frame) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def decode(text: str) -> dict[str, object]:
    """Raises LinkDownError for anything that is no frame."""
    if len(text) > MAX_FRAME:
        raise LinkDownError(Code.BROKEN_FRAME, f"a frame has at most {MAX_FRAME} characters")
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise LinkDownError(Code.BROKEN_FRAME, "a frame is a JSON object") from error
    if not isinstance(frame, dict) or not isinstance(frame.get("t"), str):
        raise LinkDownError(Code.BROKEN_FRAME, "a frame is a JSON object with its kind in «t»")
    return frame


def text_of(frame: Frame, name: str) -> str:
    """A text that must be there. Raises LinkDownError."""
    value = frame.get(name)
    if not isinstance(value, str) or not value:
        raise LinkDownError(Code.BROKEN_FRAME, f"a «{frame['t']}» frame has a text «{name}»")
    return value


def number_of(frame: Frame, name: str) -> int:
    value = frame.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise LinkDownError(Code.BROKEN_FRAME, f"a «{frame['t']}» frame has a number «{name}»")
    return value


def body_of(frame: Frame) -> Mapping[str, object]:
    value = frame.get("body", {})
    if not isinstance(value, dict):
        raise LinkDownError(Code.BROKEN_FRAME, f"the body of a «{frame['t']}» frame is an object")
    return value


def message_frame(message: TierMessage, prev: int) -> dict[str, object]:
    """`prev` is the sequence of the message before it to the same peer: who has not taken that one notices."""
    return {
        "t": "msg",
        "seq": message.seq,
        "prev": prev,
        "id": message.id,
        "kind": message.kind,
        "v": message.schema,
        "at": message.created_at.isoformat(),
        "incident": message.incident_id,
        "body": message.body,
    }


def message_of(frame: Frame, peer: str) -> TierMessage:
    """Raises LinkDownError. What is in the body is for its reader to judge."""
    incident = frame.get("incident")
    try:
        at = datetime.fromisoformat(text_of(frame, "at"))
    except ValueError as error:
        raise LinkDownError(Code.BROKEN_FRAME, "«at» is a time, ISO 8601 with its zone") from error
    if at.tzinfo is None:
        raise LinkDownError(Code.BROKEN_FRAME, "«at» is a time, ISO 8601 with its zone")
    return TierMessage(
        id=text_of(frame, "id")[:64],
        peer=peer,
        kind=text_of(frame, "kind")[:64],
        body=body_of(frame),
        created_at=at,
        incident_id=str(incident)[:64] if incident is not None else None,
        schema=number_of(frame, "v"),
        seq=number_of(frame, "seq"),
    )


def unreadable(
    message_id: str, peer: str, seq: int, now: datetime, why: LinkDownError
) -> TierMessage:
    """What stands for a message whose frame is of no form we know: refused already, so that it is noted and answered like any other."""
    return TierMessage(
        id=message_id[:64],
        peer=peer,
        kind="",
        body={},
        created_at=now,
        seq=seq,
        state=MessageState.REFUSED,
        code=why.code,
        reason=why.reason,
    )
