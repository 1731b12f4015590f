"""Pictures beside the voice: what of an m=video is agreed on, what is not, and what a leg does with the rooms and the engine."""

import pytest
from fakes.video import FakeVideo
from fakes.waiting import eventually

from commhub.ports.media import RtpAddress
from commhub.ports.rooms import RoomPicture
from commhub.ports.video import PlainRemote
from gateways.sip import sdp
from gateways.sip.errors import SdpError
from gateways.sip.sdes import SrtpPolicy
from gateways.sip.sdp import Local, Terms

TERMS = Terms(codecs=("PCMA",), rtcp_mux=True)
OURS, SHOWN = RtpAddress("192.0.2.1", 20_000), RtpAddress("192.0.2.1", 30_000)
VOICE = "v=0\r\no=- 1 1 IN IP4 192.0.2.9\r\ns=-\r\nc=IN IP4 192.0.2.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
PICTURE = (
    "m=video 4002 RTP/AVP 99 97\r\nb=TIAS:1500000\r\n"
    "a=rtpmap:99 H264/90000\r\na=fmtp:99 profile-level-id=640028;packetization-mode=0\r\n"
    "a=rtpmap:97 H264/90000\r\na=fmtp:97 profile-level-id=42801f; packetization-mode=1\r\n"
    "a=rtcp-fb:* nack pli\r\na=rtcp-fb:97 ccm fir\r\na=content:main\r\n"
)


def answer(body, terms=TERMS, picture=SHOWN):
    return sdp.answer(body.encode(), terms, OURS, Local(1), picture=picture)


def test_a_picture_is_agreed_on_in_the_mode_that_splits_nal_units():
    agreed = answer(VOICE + PICTURE)
    video = agreed.picture.video
    assert (video.payload_type, video.packetization_mode, video.max_kbps) == (97, 1, 1500)
    assert (video.nack, video.pli, video.fir) == (False, True, True)
    assert agreed.picture.address == RtpAddress("192.0.2.9", 4002)
    lines = agreed.body.decode().split("\r\n")
    assert "m=video 30000 RTP/AVP 97" in lines
    assert "a=fmtp:97 profile-level-id=42801f;packetization-mode=1" in lines
    assert "a=rtcp-fb:97 nack pli" in lines
    assert "a=rtcp-fb:97 nack" not in lines


def test_who_splits_no_nal_units_gets_them_whole():
    body = VOICE + PICTURE.replace("97\r\nb=", "100\r\nb=")
    video = answer(body).picture.video
    assert (video.payload_type, video.packetization_mode) == (99, 0)


@pytest.mark.parametrize(
    "spoilt",
    [
        PICTURE.replace("m=video 4002", "m=video 0"),
        PICTURE.replace("RTP/AVP", "RTP/SAVP"),
        PICTURE.replace("RTP/AVP", "UDP/TLS/RTP/SAVPF"),
        PICTURE.replace("H264", "H265"),
        PICTURE.replace("packetization-mode=0", "packetization-mode=2").replace(
            "packetization-mode=1", "packetization-mode=many"
        ),
        PICTURE.replace("b=TIAS", "c=IN IP6 2001:db8::1\r\nb=TIAS"),
        PICTURE.replace("b=TIAS", "c=IN IP4 room.example\r\nb=TIAS"),
        "m=video 4002 RTP/AVP x\r\na=rtpmap:x H264/90000\r\n",
        "m=video 4002 RTP/AVP 200\r\na=rtpmap:200 H264/90000\r\n",
        PICTURE + "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n",
    ],
)
def test_a_picture_of_no_use_is_refused_and_the_voice_is_not(spoilt):
    assert not sdp.wants_picture((VOICE + spoilt).encode(), TERMS)
    agreed = answer(VOICE + spoilt)
    assert agreed.picture is None
    assert b"\r\nm=video 0 " in agreed.body
    assert b"m=audio 20000 RTP/AVP 8" in agreed.body


def test_beside_a_voice_that_is_secured_no_picture_goes_in_the_clear():
    crypto = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n"
    terms = Terms(codecs=("PCMA",), srtp=SrtpPolicy.ACCEPT)
    agreed = answer(VOICE + crypto + PICTURE, terms)
    assert agreed.remote.srtp is not None
    assert agreed.picture is None
    assert not sdp.wants_picture((VOICE + crypto + PICTURE).encode(), terms)
    required = Terms(codecs=("PCMA",), srtp=SrtpPolicy.REQUIRE)
    assert b"video" not in sdp.offer(required, OURS, Local(1), picture=SHOWN)


def test_slides_are_taken_only_where_there_is_nothing_else():
    slides = PICTURE.replace("content:main", "content:slides").replace("4002", "4004")
    agreed = answer(VOICE + slides + PICTURE)
    assert agreed.picture.address.port == 4002
    assert agreed.body.index(b"m=video 0 ") < agreed.body.index(b"m=video 30000 ")
    assert answer(VOICE + slides).picture.address.port == 4004


@pytest.mark.parametrize(
    ("line", "sends", "receives", "ours"),
    [
        ("a=sendonly", True, False, "recvonly"),
        ("a=recvonly", False, True, "sendonly"),
        ("a=inactive", False, False, "inactive"),
        ("c=IN IP4 0.0.0.0", True, False, "recvonly"),
    ],
)
def test_a_picture_is_held_by_itself(line, sends, receives, ours):
    agreed = answer(VOICE + PICTURE + line + "\r\n")
    assert (agreed.picture.sends, agreed.picture.receives) == (sends, receives)
    assert agreed.body.decode().rstrip().endswith(f"a={ours}")
    assert agreed.remote.receives


def test_our_offer_and_their_answer():
    offered = sdp.offer(TERMS, OURS, Local(1), picture=SHOWN)
    assert sdp.picture_address(offered) == SHOWN
    theirs = VOICE + "m=video 4002 RTP/AVP 98\r\na=rtpmap:98 H264/90000\r\n"
    agreed = sdp.accept(theirs.encode(), TERMS, offered)
    assert (agreed.picture.video.payload_type, agreed.picture.video.packetization_mode) == (98, 0)
    refused = VOICE + "m=video 0 RTP/AVP 97\r\n"
    assert sdp.accept(refused.encode(), TERMS, offered).picture is None
    assert sdp.accept(VOICE.encode(), TERMS, offered).picture is None
    with pytest.raises(SdpError):
        sdp.accept(b"m=audio 0 RTP/AVP 8\r\nm=video 4 RTP/AVP 98\r\n", TERMS, offered)


def test_a_later_offer_keeps_the_picture_in_its_place_and_adds_one_behind_the_voice():
    first = answer(PICTURE.join(VOICE.split("m=", 1)[:1]) + PICTURE + "m=" + VOICE.split("m=")[1])
    again = sdp.offer(TERMS, OURS, Local(1, 2), first.body, picture=SHOWN)
    assert again.index(b"m=video 30000") < again.index(b"m=audio 20000")
    added = sdp.offer(TERMS, OURS, Local(1, 2), answer(VOICE).body, picture=SHOWN)
    assert added.index(b"m=audio 20000") < added.index(b"m=video 30000")
    dropped = sdp.offer(TERMS, OURS, Local(1, 2), first.body)
    assert b"m=video 0 " in dropped


def test_what_was_agreed_is_read_again_from_both_descriptions():
    agreed = answer(VOICE + PICTURE)
    assert sdp.agreed_picture(agreed.body, (VOICE + PICTURE).encode()) == agreed.picture
    assert sdp.agreed_picture(agreed.body, VOICE.encode()) is None


# --- legs -----------------------------------------------------------------------------------------------------


class Rooms:
    """Implements RoomPictures: every leg is the participant p of the room r, unless `none`."""

    def __init__(self):
        self.none = False
        self.waits = False
        self.agreed, self.over = [], []

    async def picture_of(self, leg_id):
        if self.none:
            return None
        return RoomPicture(room_id="r", participant_id="p", source_id="p", waits=self.waits)

    async def picture_agreed(self, leg_id, picture, *, sends):
        self.agreed.append((leg_id, sends))

    async def picture_over(self, leg_id, reason):
        self.over.append(leg_id)


@pytest.fixture
def video(wire):
    engine, rooms = FakeVideo(), Rooms()
    engine.rooms = rooms
    wire.gateway.pictures.connect_to(rooms, engine)
    return engine


@pytest.fixture
async def shown(wire, phones, video):
    """(leg id, INVITE) of an established leg into a room that has a picture."""
    await phones.register(5062)
    leg = await phones.call(in_room=True)
    invite = await phones.until("INVITE")
    phones.answer(invite, 200, body=VOICE + PICTURE)
    await eventually(lambda: wire.calls.told("connected", leg))
    return leg, invite


def connected(video, leg):
    orders = [one for one in video.orders if one[:2] == ("connect_plain", leg)]
    return orders[-1][2] if orders else None


async def test_a_phone_that_is_rung_into_a_room_is_offered_a_picture(shown, video):
    leg, invite = shown
    assert b"m=video 42000 RTP/AVP 97 98" in invite.body
    remote = connected(video, leg)
    assert isinstance(remote, PlainRemote)
    assert (remote.sends, remote.receives) == (True, True)
    assert video.rooms.agreed == [(leg, True)]


async def test_a_phone_in_no_room_is_offered_none(wire, phones, video):
    video.rooms.none = True
    await phones.register(5062)
    await phones.call(in_room=True)
    assert b"m=video" not in (await phones.until("INVITE")).body


async def test_without_an_engine_the_voice_goes_on(wire, phones, video):
    video.unavailable = True
    await phones.register(5062)
    leg = await phones.call(in_room=True)
    invite = await phones.until("INVITE")
    assert b"m=video" not in invite.body
    phones.answer(invite, 200, body=VOICE)
    await eventually(lambda: wire.calls.told("connected", leg))


async def test_who_waits_to_be_let_in_neither_sees_nor_is_seen_until_then(wire, shown, video):
    leg, _ = shown
    video.rooms.waits = True
    await wire.gateway.repicture(leg)
    await eventually(lambda: not connected(video, leg).sends)
    assert not connected(video, leg).receives
    video.rooms.waits = False
    await wire.gateway.repicture(leg)
    await eventually(lambda: connected(video, leg).sends and connected(video, leg).receives)


async def test_an_engine_that_forgot_has_the_phone_asked_to_send_elsewhere(
    wire, phones, shown, video
):
    video.plain.clear()
    await wire.gateway.engine_came()
    again = await phones.until("INVITE", count=2)
    assert b"m=video 42002" in again.body
    phones.answer(again, 200, body=VOICE + PICTURE)
    await eventually(lambda: len([o for o in video.orders if o[0] == "connect_plain"]) == 2)


async def test_the_end_of_the_call_is_the_end_of_its_picture(wire, phones, shown, video):
    leg, invite = shown
    assert (await wire.ask(phones.ask("BYE", invite, 2))).status == 200
    await eventually(lambda: ("release", leg) in video.orders)
    assert video.rooms.over == [leg]


async def reinvite(wire, phones, invite, seq, body):
    answer = await wire.ask(phones.ask("INVITE", invite, seq, body=body))
    wire.say(phones.ask("ACK", invite, seq))
    return answer


async def test_a_picture_comes_is_held_and_goes_by_re_invites(wire, phones, video):
    await phones.register(5062)
    leg = await phones.call(in_room=True)
    invite = await phones.until("INVITE")
    phones.answer(invite, 200, body=VOICE)
    await eventually(lambda: ("release", leg) in video.orders)
    added = await reinvite(wire, phones, invite, 2, VOICE + PICTURE)
    assert b"m=video 42002 RTP/AVP 97" in added.body
    assert connected(video, leg).receives
    held = await reinvite(wire, phones, invite, 3, VOICE + PICTURE + "a=sendonly\r\n")
    assert held.status == 200
    assert (connected(video, leg).sends, connected(video, leg).receives) == (True, False)
    video.orders.clear()
    gone = await reinvite(wire, phones, invite, 4, VOICE + "m=video 0 RTP/AVP 97\r\n")
    assert b"m=video 0 " in gone.body
    assert ("release", leg) in video.orders
    assert wire.gateway._core.media.connected[leg].receives


async def test_a_phone_that_will_not_send_elsewhere_keeps_its_voice(wire, phones, shown, video):
    leg, _ = shown
    video.plain.clear()
    await wire.gateway.engine_came()
    again = await phones.until("INVITE", count=2)
    phones.answer(again, 488)
    await eventually(lambda: phones.got("ACK", 5062)[-1].cseq.sequence == again.cseq.sequence)
    await wire.gateway.engine_came()
    third = await phones.until("INVITE", count=3)
    assert b"m=video" in third.body
    assert not wire.calls.told("ended", leg)


async def test_offers_that_cross_are_asked_again(wire, phones, shown, video):
    _, invite = shown
    video.plain.clear()
    await wire.gateway.engine_came()
    await phones.until("INVITE", count=2)
    crossing = await wire.ask(phones.ask("INVITE", invite, 2, body=VOICE + PICTURE))
    assert crossing.status == 491


UPDATE = (
    "<media_control><vc_primitive><to_encoder><picture_fast_update/></to_encoder>"
    "</vc_primitive></media_control>"
)


async def test_an_info_wishes_for_a_whole_picture(wire, phones, shown, video):
    leg, invite = shown
    kind = "application/media_control+xml"
    said = await wire.ask(phones.ask("INFO", invite, 2, body=UPDATE, kind=kind))
    assert said.status == 200
    assert ("refresh", leg) in video.orders
    video.orders.clear()
    other = UPDATE.replace("picture_fast_update", "freeze")
    assert (await wire.ask(phones.ask("INFO", invite, 3, body=other, kind=kind))).status == 200
    assert ("refresh", leg) not in video.orders


async def test_a_source_without_rtcp_feedback_is_asked_by_info(wire, phones, shown):
    leg, _ = shown
    await wire.gateway.ask_keyframe(leg)
    info = await phones.until("INFO")
    assert info.content_type == "application/media_control+xml"
    assert b"<picture_fast_update/>" in info.body
    phones.answer(info, 415)
    await wire.gateway.ask_keyframe(leg)
    await phones.until("INFO", count=2)
    assert not wire.calls.told("ended", leg)


async def test_a_restart_of_control_forgets_no_picture(wire, phones, shown, video):
    leg, invite = shown
    await wire.restart()
    wire.gateway.pictures.connect_to(video.rooms, video)
    await eventually(lambda: wire.gateway.pictures.legs)
    await wire.gateway.engine_came()
    await eventually(lambda: len([o for o in video.orders if o[0] == "connect_plain"]) == 2)
    assert len(phones.got("INVITE")) == 1
    assert (await wire.ask(phones.ask("BYE", invite, 2))).status == 200
    await eventually(lambda: ("release", leg) in video.orders)
