"""Whether media find their way, as `commhub doctor` says it."""

import asyncio
import socket

import pytest
from aioice import stun

from commhub.settings import Settings, SettingsError, load_settings
from commhub.settings_parts import MediaSettings, TurnSettings
from commhub.wiring import doctor
from commhub.wiring.findings import Verdict
from commhub.wiring.reachable import turn_answers, udp_comes_back


class StunServer(asyncio.DatagramProtocol):
    """Answers binding requests."""

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        request = stun.parse_message(data)
        answer = stun.Message(
            message_method=stun.Method.BINDING,
            message_class=stun.Class.RESPONSE,
            transaction_id=request.transaction_id,
        )
        answer.attributes["XOR-MAPPED-ADDRESS"] = addr
        self.transport.sendto(bytes(answer), addr)


@pytest.fixture
async def turn_port():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
    yield transport.get_extra_info("sockname")[1]
    transport.close()


async def test_udp_to_our_own_address_arrives():
    assert await udp_comes_back(MediaSettings(), 0)


async def test_a_port_in_use_does_not_hinder_the_check():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        assert await udp_comes_back(MediaSettings(), taken.getsockname()[1])


async def test_an_address_that_is_not_ours_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr("commhub.wiring.reachable._PATIENCE_S", 0.1)
    settings = Settings(data_dir=tmp_path, media=MediaSettings(advertised_host="192.0.2.1"))
    finding = await doctor._pictures(settings)
    assert finding.verdict is Verdict.WARNING
    assert "192.0.2.1" in finding.found


async def test_a_hub_on_loopback_says_that_nobody_else_sees_it(tmp_path):
    finding = await doctor._pictures(Settings(data_dir=tmp_path))
    assert finding.verdict is Verdict.OK
    assert "this machine only" in finding.found


async def test_a_turn_server_that_answers_and_one_that_does_not(turn_port, tmp_path, monkeypatch):
    monkeypatch.setattr("commhub.wiring.reachable._PATIENCE_S", 0.3)
    assert await turn_answers(f"turn:127.0.0.1:{turn_port}?transport=udp")
    dead = f"turn:127.0.0.1:{turn_port}?transport=tcp"
    assert not await turn_answers(dead)
    turn = TurnSettings(urls=(dead,), secret="s")
    finding = await doctor._turn(Settings(data_dir=tmp_path, media=MediaSettings(turn=turn)))
    assert finding.verdict is Verdict.WARNING
    assert dead in finding.found


@pytest.mark.parametrize("url", ["http://x", "turn:a b", 'turn:x"y', "turn:x,stun:y"])
def test_what_is_no_turn_address_is_said_before_the_hub_starts(monkeypatch, url):
    monkeypatch.setenv(
        "COMMHUB_MEDIA__TURN", f'{{"urls": ["{url}"], "secret": "s"}}'.replace('x"y', 'x\\"y')
    )
    with pytest.raises(SettingsError, match="turn"):
        load_settings()


def test_the_secret_of_the_turn_server_is_in_no_repr(monkeypatch):
    monkeypatch.setenv("COMMHUB_MEDIA__TURN", '{"urls": ["turn:x"], "secret": "hush"}')
    assert "hush" not in repr(load_settings())
