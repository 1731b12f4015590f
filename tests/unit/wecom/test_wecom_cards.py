"""What a message looks like to WeCom, and ids that travel there and back."""

from datetime import timedelta

import pytest
from fakes.clock import START, ScriptedClock
from fakes.wecom import CONFIG, changed, task_card
from hypothesis import given
from hypothesis import strategies as st

from commhub.domain.message import CardAction
from commhub.kit.cutting import cut
from commhub.kit.ids import new_id
from commhub.ports.channels import Refused
from gateways.wecom.card import TEXT_BYTES, TITLE_BYTES, send_request, update_request
from gateways.wecom.channel import WeComChannel, user_of
from gateways.wecom.task_id import MOST_BYTES, to_delivery_id, to_task_id
from gateways.wecom.throttle import MemberThrottle


def _card(**changes: object) -> dict[str, object]:
    outgoing = task_card("d-1", **changes)
    request = send_request(outgoing.message, outgoing.delivery.id, "zhangsan", 7)
    return dict(request["template_card"])


def test_a_card_carries_title_fields_link_buttons_and_the_delivery_id() -> None:
    outgoing = task_card("d-1")
    request = send_request(outgoing.message, "d-1", "zhangsan", 7)
    assert (request["touser"], request["agentid"]) == ("zhangsan", 7)
    assert request["enable_duplicate_check"] == 1
    card = request["template_card"]
    assert card["card_type"] == "button_interaction"
    assert card["task_id"] == "d-1"
    assert [(b["text"], b["key"]) for b in card["button_list"]] == [
        ("接单", "accept"),
        ("退单", "return"),
    ]
    assert card["horizontal_content_list"][-1] == {
        "type": 1,
        "keyname": "详情",
        "value": "打开",
        "url": "https://hub.test/incidents/1",
    }


def test_at_most_six_rows_and_the_link_is_always_one_of_them() -> None:
    rows = _card(fields=tuple((f"项{n}", "值") for n in range(9)))["horizontal_content_list"]
    assert isinstance(rows, list)
    assert len(rows) == 6
    assert rows[-1]["type"] == 1


@pytest.mark.parametrize("link", [None, "javascript:alert(1)", "ftp://x", "https://" + "x" * 2000])
def test_a_link_that_is_no_web_page_is_left_out(link: str | None) -> None:
    card = _card(link=link)
    assert "card_action" not in card


def test_rows_without_a_label_are_left_out_because_wecom_refuses_the_card() -> None:
    rows = _card(fields=((" ", "x"), ("地点", "")), link=None)["horizontal_content_list"]
    assert rows == [{"keyname": "地点", "value": ""}]


def test_long_texts_end_with_an_ellipsis_inside_their_bytes() -> None:
    title = _card(title="火" * 100)["main_title"]
    assert isinstance(title, dict)
    assert title["title"].endswith("…")
    assert len(title["title"].encode()) <= TITLE_BYTES


@given(text=st.text(), room=st.integers(3, 60))
def test_cutting_never_exceeds_and_never_breaks_a_character(text: str, room: int) -> None:
    short = cut(text, room)
    assert len(short.encode()) <= room
    whole = text.encode("utf-8", "replace").decode()
    assert whole.startswith(short.removesuffix("…")) or short == whole


def test_a_text_keeps_its_link_whole_however_long_it_is() -> None:
    outgoing = task_card("d-1", actions=(), body="字" * 3000)
    content = send_request(outgoing.message, "d-1", "u", 7)["text"]["content"]
    assert content.endswith("\nhttps://hub.test/incidents/1")
    assert len(content.encode()) <= TEXT_BYTES


def test_the_same_delivery_is_the_same_request_so_that_wecom_sees_the_duplicate() -> None:
    outgoing = task_card("d-1")
    first = send_request(outgoing.message, "d-1", "u", 7)
    assert first == send_request(outgoing.message, "d-1", "u", 7)


def test_a_change_with_actions_left_is_a_new_card_that_says_who_and_keeps_its_task_id() -> None:
    message = task_card("d-1").message
    request = update_request(
        message,
        status="已接单 16:00",
        actions=[CardAction.FINISH],
        by="张三",
        user="zhangsan",
        agent_id=7,
        response_code="c",
    )
    card = request["template_card"]
    assert "button" not in request
    assert "task_id" not in card
    assert card["horizontal_content_list"][0] == {
        "keyname": "状态",
        "value": "已接单 16:00 · 张三",
    }
    assert [b["key"] for b in card["button_list"]] == ["finish"]


def test_a_change_with_nothing_left_to_tap_is_a_grey_text() -> None:
    message = task_card("d-1").message
    request = update_request(
        message, status="已完成", actions=[], by="", user="u", agent_id=7, response_code="c"
    )
    assert request["button"] == {"replace_name": "已完成"}
    assert "template_card" not in request


@given(delivery_id=st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=30))
def test_ids_travel_in_wecoms_alphabet_and_come_back(delivery_id: str) -> None:
    try:
        task_id = to_task_id(delivery_id)
    except ValueError:
        assert len(delivery_id.encode()) * 3 > MOST_BYTES
        return
    assert all(c.isascii() and (c.isalnum() or c in "_-@") for c in task_id)
    assert to_delivery_id(task_id) == delivery_id


def test_a_uuid_is_its_own_task_id() -> None:
    delivery_id = new_id()
    assert to_task_id(delivery_id) == delivery_id


@pytest.mark.parametrize("recipient", ["wecom:", "wecom:@all", "a|b", " "])
async def test_a_recipient_that_is_not_one_person_is_refused(recipient: str) -> None:
    assert user_of(recipient) == ""
    async with WeComChannel(CONFIG, ScriptedClock()) as channel:
        outgoing = task_card("d-1", recipient=recipient)
        assert isinstance(await channel.send(outgoing), Refused)
        assert isinstance(await channel.update(changed(outgoing, "c", "x")), Refused)


async def test_a_delivery_id_too_long_for_wecom_is_refused() -> None:
    async with WeComChannel(CONFIG, ScriptedClock()) as channel:
        assert isinstance(await channel.send(task_card("x" * 200)), Refused)


async def test_a_change_without_a_usable_code_is_refused_without_asking_wecom() -> None:
    clock = ScriptedClock()
    outgoing = task_card("d-1")
    async with WeComChannel(CONFIG, clock) as channel:
        assert isinstance(await channel.update(changed(outgoing, None, "x")), Refused)
        old = changed(outgoing, "code", "x", expires=START - timedelta(seconds=1))
        assert isinstance(await channel.update(old), Refused)
        odd = changed(outgoing, "code", "x", "dance")
        assert isinstance(await channel.update(odd), Refused)


def test_the_hourly_bound_holds_when_the_minute_allows_more() -> None:
    clock = ScriptedClock()
    throttle = MemberThrottle(clock)
    for _ in range(1000):
        assert throttle.wait_s("u") == 0
        throttle.note("U")
        clock.advance(2.1)
    assert throttle.wait_s("u") == pytest.approx(3600 - 2100)
    assert throttle.wait_s("v") == 0
