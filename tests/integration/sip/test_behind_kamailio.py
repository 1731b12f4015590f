"""Hubs behind the distribution's kamailio with the configuration of `deploy/kamailio`: Path (RFC 3327), Record-Route and
loose routing (RFC 3261 §12.2, §16.12) with a real proxy between, both ways."""

from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from fakes.baresip import baresip
from fakes.kamailio import kamailio
from fakes.waiting import eventually

from commhub.domain.call import Cause

PASSWORD = "kept-between-us"
TRANSPORTS = pytest.mark.parametrize("transport", ["udp", "tcp"])


HUB = "127.0.0.2"


@pytest.fixture
async def hub(edge):
    """The gateway at an address that no phone has, and the proxy's is known to it."""
    await edge.stop()
    edge.config = replace(edge.config, host=HUB, port=0, proxies=("127.0.0.1",))
    await edge.start()
    return edge


@pytest.fixture
def proxy(hub, tmp_path):
    """The port of a proxy before the gateway."""
    with kamailio(tmp_path, [f"{HUB}:{hub.port}"]) as port:
        yield port


@asynccontextmanager
async def phone(proxy, transport="udp", user="1001"):
    async with baresip(user, PASSWORD, proxy, transport=transport) as peer:
        await peer.until_registered()
        yield peer


@TRANSPORTS
async def test_a_phone_registers_through_it_and_the_way_back_is_kept(edge, proxy, transport):
    async with phone(proxy, transport):
        (binding,) = await edge.bindings("1001")

    assert len(binding.path) == 1
    assert binding.path[0].startswith(f"<sip:127.0.0.1:{proxy}")
    assert ";lr" in binding.path[0]
    assert ";received=" in binding.path[0]


@TRANSPORTS
async def test_a_phone_is_called_through_it_and_hung_up(edge, proxy, transport):
    async with phone(proxy, transport) as peer:
        leg = await edge.call("1001")
        await peer.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        (row,) = await edge.rows()
        routes = row.state["dialog"]["routes"]
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    assert any(f"127.0.0.1:{proxy}" in route for route in routes)
    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended", leg) == []


@TRANSPORTS
async def test_a_phone_calls_through_it_holds_resumes_and_hangs_up(edge, proxy, transport):
    async with phone(proxy, transport) as peer:
        await peer.command("dial", f"sip:2000@127.0.0.1:{proxy};transport={transport}")
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await edge.gateway.answer(leg)
        await peer.until("CALL_ESTABLISHED")
        await peer.command("hold")
        await eventually(lambda: edge.calls.told("held", leg))
        await peer.command("resume")
        await eventually(lambda: edge.calls.states(leg)[-1] == "connected")
        await peer.command("hangup")
        await eventually(lambda: edge.calls.end_of(leg))

    assert edge.calls.end_of(leg) == (Cause.HUNG_UP, None)
    await edge.until_forgotten()


async def test_the_desk_hangs_up_a_caller_through_it_after_a_restart(edge, proxy):
    async with phone(proxy, "tcp") as peer:
        await peer.command("dial", f"sip:2000@127.0.0.1:{proxy};transport=tcp")
        await eventually(lambda: edge.calls.offers)
        leg = edge.calls.offers[0].leg_id
        await edge.gateway.answer(leg)
        await peer.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        await edge.restart()
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.told("ended", leg) == []


async def test_a_ringing_phone_behind_it_is_cancelled(edge, proxy):
    async with baresip("1001", PASSWORD, proxy, answer="manual") as peer:
        await peer.until_registered()
        leg = await edge.call("1001")
        await eventually(lambda: edge.calls.told("ringing", leg))
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    await eventually(lambda: edge.gateway.legs == 0)
    assert edge.calls.end_of(leg)[0] is Cause.DESK


async def test_an_invite_too_large_for_a_datagram_reaches_the_phone_by_tcp_to_the_proxy(
    edge, proxy
):
    async with phone(proxy) as peer:
        leg = await edge.call("1001", caller="x" * 900)
        await peer.until("CALL_ESTABLISHED")
        await eventually(lambda: edge.calls.told("connected", leg))
        assert (await edge.rows())[0].state["dialog"]["transport"] == "TCP"
        await edge.gateway.hang_up(leg, Cause.DESK)
        await peer.until("CALL_CLOSED")

    assert edge.calls.told("ended", leg) == []


# --- several hubs --------------------------------------------------------------------------------------------


@pytest.fixture
async def other(hub):
    """Another hub on the same store."""
    other = type(hub)(hub.store, replace(hub.config, port=0, tls_port=0))
    await other.start()
    yield other
    await other.stop()
    other.media.close()


async def test_each_hub_calls_a_phone_that_registered_at_one_of_them(edge, other, tmp_path):
    with kamailio(tmp_path, [f"{HUB}:{edge.port}", f"{HUB}:{other.port}"]) as proxy:
        async with phone(proxy, "tcp") as peer:
            for hub in (edge, other):
                leg = await hub.call("1001")
                await eventually(lambda hub=hub, leg=leg: hub.calls.told("connected", leg))
                await hub.gateway.hang_up(leg, Cause.DESK)
                await eventually(lambda hub=hub: hub.gateway.legs == 0)
                assert hub.calls.told("ended", leg) == []
            assert peer.happened("CALL_CLOSED")


async def test_a_phone_whose_hub_is_gone_reaches_another(edge, other, tmp_path):
    with kamailio(tmp_path, [f"{HUB}:{edge.port}", f"{HUB}:{other.port}"]) as proxy:
        async with phone(proxy) as peer:
            await _dial(peer, proxy)
            first = await eventually(
                lambda: next((h for h in (edge, other) if h.calls.offers), None)
            )
            await peer.command("hangup")
            await eventually(lambda: first.gateway.legs == 0)
            second = other if first is edge else edge

            await first.stop()
            await _dial(peer, proxy)
            await eventually(lambda: second.calls.offers, within_s=10)
            await second.gateway.answer(second.calls.offers[0].leg_id)
            await peer.until("CALL_ESTABLISHED")
            await peer.command("hangup")
            await eventually(lambda: second.gateway.legs == 0)


async def _dial(peer, proxy):
    await peer.command("dial", f"sip:2000@127.0.0.1:{proxy}")
