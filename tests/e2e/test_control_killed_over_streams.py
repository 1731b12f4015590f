"""kill -9 of the control process under phones over TCP and TLS: their connections die with it, their call does not."""

import asyncio

import pytest
from fakes.baresip import baresip
from fakes.waiting import eventually

from commhub.wiring.demo.settle import ADMIN, Desk
from simulators.tones import ToneMeter

pytestmark = pytest.mark.audio


def admit(stage, name):
    """A phone's account; its password."""
    with Desk(stage.note.url, ADMIN, stage.keys.people[ADMIN]) as admin:
        made = admin.post("/fleet/phones", {"name": name, "display_name": f"baresip {name}"})
    return made["password"]


def hears(phone, tone):
    meter = ToneMeter()
    meter.hear(phone.heard(1.0))
    levels = meter.levels([tone])
    return levels[str(tone)] - levels["floor"] >= 20


async def kill_control(stage):
    victim = stage.hub.pid_of("control")
    stage.hub.kill("control")

    def is_another():
        try:
            return stage.hub.pid_of("control") != victim
        except OSError:
            return False

    await eventually(is_another, within_s=20)
    await asyncio.to_thread(stage.hub.wait_ready)


async def test_the_one_who_hangs_up_comes_by_tls_and_the_other_is_told_by_tcp(stage, cast):
    tls_port = int(stage.hub.environment["COMMHUB_SIP__TLS_PORT"])
    certificate = stage.hub.environment["COMMHUB_SIP__TLS_CERTIFICATE"]
    secure = {"transport": "tls", "authority": certificate, "tone": 440}
    async with (
        baresip("2011", await asyncio.to_thread(admit, stage, "2011"), tls_port, **secure) as one,
        baresip(
            "2012",
            await asyncio.to_thread(admit, stage, "2012"),
            stage.hub.port("sip"),
            transport="tcp",
            tone=880,
        ) as two,
    ):
        await one.until_registered()
        await two.until_registered()
        call = await asyncio.to_thread(cast.desk.post, "/calls", {"legs": ["sip:2011", "sip:2012"]})
        await one.until("CALL_ESTABLISHED")
        await two.until("CALL_ESTABLISHED")
        await eventually(lambda: hears(one, 880) and hears(two, 440), within_s=10)

        await kill_control(stage)
        assert hears(one, 880)
        assert hears(two, 440)
        await one.command("hangup")
        await two.until("CALL_CLOSED")
        ended = await eventually(
            lambda: asyncio.to_thread(_if_ended, cast.desk, f"/calls/{call['id']}")
        )

    causes = {leg["endpoint"]: leg["cause"] for leg in ended["legs"]}
    assert causes == {"sip:2011": "hung_up", "sip:2012": "call_ended"}


def _if_ended(desk, path):
    call = desk.get(path)
    return call if call["ended_at"] else None
