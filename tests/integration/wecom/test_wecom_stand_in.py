"""The real channel and callback against the stand-in server, over real HTTP."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace

import httpx
import pytest
from fakes.clock import ScriptedClock
from fakes.servers import free_port
from fakes.waiting import eventually
from fakes.wecom import (
    CONFIG,
    HubSide,
    StandIn,
    changed,
    hub_side,
    scripting,
    stand_in_process,
    task_card,
)

from commhub.domain.errors import UnavailableError
from commhub.domain.message import MessageKind
from commhub.kit.clock import SystemClock
from commhub.kit.ids import new_id
from commhub.ports.channels import CardChannel, Refused, Sent, TryLater, Unknown
from gateways.wecom.channel import WeComChannel


@dataclass(frozen=True, slots=True)
class Town:
    hub: HubSide
    wecom: StandIn
    channel: WeComChannel


@pytest.fixture(scope="module")
def places() -> Iterator[tuple[int, str]]:
    """The hub's port, and the URL of one stand-in for the whole file."""
    port = free_port()
    with stand_in_process(f"http://127.0.0.1:{port}/wecom/callback") as url:
        yield port, url


@pytest.fixture
async def town(places: tuple[int, str]) -> AsyncIterator[Town]:
    port, url = places
    async with (
        hub_side(port) as hub,
        scripting(url) as wecom,
        WeComChannel(replace(CONFIG, api_base=wecom.url), SystemClock()) as channel,
    ):
        yield Town(hub, wecom, channel)


async def test_the_callback_address_passes_wecoms_check(town: Town) -> None:
    assert await town.wecom.do("verify-url") == {"status": 200, "matches": True}


async def test_a_card_is_sent_tapped_changed_tapped_again_and_ends_grey(town: Town) -> None:
    outgoing = task_card(new_id())
    sent = await town.channel.send(outgoing)
    assert isinstance(sent, Sent)
    assert sent.provider_id
    assert sent.response_code
    [card] = await town.wecom.cards()
    assert card["title"] == "SOS 求助 · 一级"
    assert [button["text"] for button in card["buttons"]] == ["接单", "退单"]

    result = await town.wecom.do("tap", user="ZhangSan", latest=True, key="accept")
    assert result["status"] == 200
    assert result["answer"] == ""
    [ack] = town.hub.acks.arrived
    assert (ack.delivery_id, ack.action, ack.actor) == (
        outgoing.delivery.id,
        "accept",
        "wecom:ZhangSan",
    )
    assert ack.response_code not in (None, sent.response_code)

    assert isinstance(town.channel, CardChannel)
    taken = changed(outgoing, ack.response_code, "已接单 16:00", "finish", by="张三")
    assert isinstance(await town.channel.update(taken), Sent)
    [card] = await town.wecom.cards()
    assert [button["key"] for button in card["buttons"]] == ["finish"]
    assert card["fields"][0] == {"keyname": "状态", "value": "已接单 16:00 · 张三"}

    await town.wecom.do("tap", user="ZhangSan", task_id=outgoing.delivery.id, key="finish")
    done = changed(outgoing, town.hub.acks.arrived[-1].response_code, "已完成")
    assert isinstance(await town.channel.update(done), Sent)
    [card] = await town.wecom.cards()
    assert (card["replaced"], card["buttons"]) == ("已完成", [])
    assert town.hub.acks.actions == ["accept", "finish"]


async def test_a_card_nobody_tapped_ends_grey_with_the_code_of_its_sending(town: Town) -> None:
    outgoing = task_card(new_id())
    sent = await town.channel.send(outgoing)
    assert isinstance(sent, Sent)
    escalated = changed(outgoing, sent.response_code, "已转派")
    assert isinstance(await town.channel.update(escalated), Sent)
    [card] = await town.wecom.cards()
    assert card["replaced"] == "已转派"


async def test_a_response_code_changes_a_card_once(town: Town) -> None:
    outgoing = task_card(new_id())
    sent = await town.channel.send(outgoing)
    assert isinstance(sent, Sent)
    change = changed(outgoing, sent.response_code, "已转派")
    await town.channel.update(change)
    again = await town.channel.update(change)
    assert isinstance(again, Refused)
    assert "60140" in again.reason


async def test_a_response_code_is_void_after_72_hours(town: Town) -> None:
    outgoing = task_card(new_id())
    sent = await town.channel.send(outgoing)
    assert isinstance(sent, Sent)
    await town.wecom.do("advance", seconds=72 * 3600 + 1)
    late = await town.channel.update(changed(outgoing, sent.response_code, "已转派"))
    assert isinstance(late, Refused)


async def test_the_same_tap_arriving_six_times_counts_once_and_is_always_answered_200(
    town: Town,
) -> None:
    await town.channel.send(task_card(new_id()))
    await town.wecom.do("fault", duplicate=5)
    result = await town.wecom.do("tap", user="ZhangSan", latest=True, key="accept")
    assert [one["status"] for one in result["all"]] == [200] * 6
    assert len(town.hub.acks.arrived) == 6
    assert town.hub.acks.actions == ["accept"]


async def test_taps_in_the_wrong_order_are_both_kept_with_their_times(town: Town) -> None:
    await town.channel.send(task_card(new_id()))
    await town.wecom.do("fault", reorder=2)
    await town.wecom.do("tap", user="ZhangSan", latest=True, key="accept")
    await town.wecom.do("tap", user="ZhangSan", latest=True, key="return")
    assert town.hub.acks.actions == ["return", "accept"]


async def test_a_tap_that_the_core_cannot_commit_is_sent_again_by_wecom(town: Town) -> None:
    await town.channel.send(task_card(new_id()))
    town.hub.acks.failing = UnavailableError("the database is away")
    tap = asyncio.create_task(town.wecom.do("tap", user="ZhangSan", latest=True, key="accept"))
    await eventually(lambda: town.hub.acks.arrived)
    town.hub.acks.failing = None
    result = await tap
    assert result["status"] == 200
    assert result["attempts"] > 1
    assert town.hub.acks.actions == ["accept"]


async def test_a_token_revoked_early_is_replaced_once_for_all_who_wait(town: Town) -> None:
    assert isinstance(await town.channel.send(task_card(new_id())), Sent)
    await town.wecom.do("revoke-tokens")
    outcomes = await asyncio.gather(*(town.channel.send(task_card(new_id())) for _ in range(8)))
    assert all(isinstance(outcome, Sent) for outcome in outcomes)
    assert (await town.wecom.state())["tokens_issued"] == 2


async def test_an_expired_token_is_replaced(town: Town) -> None:
    await town.channel.send(task_card(new_id()))
    await town.wecom.do("advance", seconds=7201)
    assert isinstance(await town.channel.send(task_card(new_id())), Sent)


async def test_the_31st_message_in_a_minute_waits_instead_of_being_dropped(town: Town) -> None:
    clock = ScriptedClock()
    async with WeComChannel(replace(CONFIG, api_base=town.wecom.url), clock) as channel:
        for _ in range(30):
            assert isinstance(await channel.send(task_card(new_id())), Sent)
        outcome = await channel.send(task_card(new_id()))
        assert isinstance(outcome, TryLater)
        assert outcome.after_s == 60
        assert isinstance(await channel.send(task_card(new_id(), recipient="wecom:lisi")), Sent)
        clock.advance(60)
        await town.wecom.do("advance", seconds=61)
        assert isinstance(await channel.send(task_card(new_id())), Sent)
    assert (await town.wecom.state())["dropped"] == 0


async def test_an_answer_that_got_lost_is_unknown_and_the_repeat_shows_one_card(
    town: Town,
) -> None:
    quick = replace(CONFIG, api_base=town.wecom.url, timeout_s=0.5)
    outgoing = task_card(new_id())
    async with WeComChannel(quick, SystemClock()) as channel:
        await channel.send(task_card(new_id(), recipient="wecom:lisi"))
        await town.wecom.do("fault", hang=1)
        assert isinstance(await channel.send(outgoing), Unknown)
        again = await channel.send(outgoing)
    assert isinstance(again, Sent)
    assert again.response_code
    assert len(await town.wecom.cards()) == 1


@pytest.mark.parametrize(
    ("code", "kind"),
    [(-1, TryLater), (45009, TryLater), (45033, TryLater), (40056, TryLater), (42014, Refused)],
)
async def test_wecoms_error_codes_become_outcomes(
    town: Town, code: int, kind: type[object]
) -> None:
    await town.channel.send(task_card(new_id(), recipient="wecom:lisi"))
    await town.wecom.do("fault", error_code=code, error_times=1)
    assert isinstance(await town.channel.send(task_card(new_id())), kind)


async def test_somebody_wecom_does_not_know_is_refused(town: Town) -> None:
    await town.wecom.do("users", known=["lisi"])
    outcome = await town.channel.send(task_card(new_id()))
    assert isinstance(outcome, Refused)
    assert "81013" in outcome.reason


async def test_a_server_that_is_not_there_is_tried_later(town: Town) -> None:
    nowhere = replace(CONFIG, api_base="http://127.0.0.1:9")
    async with WeComChannel(nowhere, SystemClock()) as channel:
        assert isinstance(await channel.send(task_card(new_id())), TryLater)


async def test_a_wrong_secret_is_tried_later_because_a_person_can_mend_it(town: Town) -> None:
    wrong = replace(CONFIG, api_base=town.wecom.url, secret="wrong")
    async with WeComChannel(wrong, SystemClock()) as channel:
        outcome = await channel.send(task_card(new_id()))
    assert isinstance(outcome, TryLater)
    assert "40001" in outcome.reason


async def test_a_text_of_the_hub_arrives_on_the_phone(town: Town) -> None:
    note = task_card(
        new_id(), actions=(), kind=MessageKind.TEXT, title="集合", body="东门集合", fields=()
    )
    assert isinstance(await town.channel.send(note), Sent)
    phone = (await town.wecom.state())["users"]["zhangsan"]
    assert phone["texts"][0]["content"] == "集合\n东门集合\nhttps://hub.test/incidents/1"


async def test_what_somebody_writes_becomes_a_report(town: Town) -> None:
    text = "井盖缺失 & ]]> <危险>"
    result = await town.wecom.do("say", user="LiSi", text=text)
    assert result["status"] == 200
    [report] = town.hub.reports.kept.values()
    assert (report.text, report.reporter, report.source) == (text, "wecom:LiSi", "wecom")
    assert report.idempotency_key


async def test_opening_the_chat_is_answered_and_ignored(town: Town) -> None:
    result = await town.wecom.do("open-chat", user="LiSi")
    assert result["status"] == 200
    assert not town.hub.reports.kept
    assert not town.hub.acks.arrived


async def test_a_forged_tap_is_refused_and_nobody_hears_of_it(town: Town) -> None:
    outgoing = task_card(new_id())
    await town.channel.send(outgoing)
    result = await town.wecom.do(
        "forge", user="ZhangSan", task_id=outgoing.delivery.id, key="accept"
    )
    assert result["status"] == 403
    assert '"code":"forged"' in result["answer"]
    assert not town.hub.acks.arrived


async def test_the_page_with_the_phones_is_served(town: Town) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(town.wecom.url)
    assert page.status_code == 200
    assert "模拟手机" in page.text
