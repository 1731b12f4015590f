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
        PICTURE.replace("b=TIAS", "c=IN IP4 room.example\r\nb=TIAS"),
        "m=video 4002 RTP/AVP x\r\na=rtpmap:x H264/90000\r\n",
        "m=video 4002 RTP/AVP 200\r\na=rtpmap:200 H264/90000\r\n",
    ],
)
def test_a_picture_of_no_use_is_refused_and_the_voice_is_not(spoilt):
    assert not sdp.wants_picture((VOICE + spoilt).encode(), TERMS)
    agreed = answer(VOICE + spoilt)
    assert agreed.picture is None
    assert b"\r\nm=video 0 " in agreed.body
    assert b"m=audio 20000 RTP/AVP 8" in agreed.body


# --- keys (SDES) ----------------------------------------------------------------------------------------------

CRYPTO = "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:" + "A" * 40 + "\r\n"
OTHER = "a=crypto:3 AEAD_AES_128_GCM inline:" + "B" * 38 + "\r\n"
SECURED = PICTURE.replace("RTP/AVP", "RTP/SAVP") + CRYPTO


def under(policy):
    return Terms(codecs=("PCMA",), srtp=policy)


def picture_lines(body):
    return body.decode().partition("m=video")[2].split("\r\n")


@pytest.mark.parametrize(
    ("voice", "picture", "policy", "secured"),
    [
        ("", "", SrtpPolicy.OFF, False),
        ("", "", SrtpPolicy.OFFER, False),
        ("", CRYPTO, SrtpPolicy.OFF, False),
        ("", CRYPTO, SrtpPolicy.ACCEPT, True),
        ("", "SAVP", SrtpPolicy.ACCEPT, True),
        (CRYPTO, "SAVP", SrtpPolicy.ACCEPT, True),
        (CRYPTO, "SAVP", SrtpPolicy.REQUIRE, True),
        (CRYPTO, CRYPTO, SrtpPolicy.REQUIRE, True),
        ("", "SAVP", SrtpPolicy.OFF, None),
        (CRYPTO, "", SrtpPolicy.ACCEPT, None),
        (CRYPTO, "", SrtpPolicy.REQUIRE, None),
    ],
)
def test_a_picture_is_secured_as_the_voice_or_more(voice, picture, policy, secured):
    """`secured` None: refused, because it would go in the clear beside a voice that does not, or against the policy."""
    shown = SECURED if picture == "SAVP" else PICTURE + picture
    body = VOICE + voice + shown
    assert sdp.wants_picture(body.encode(), under(policy)) == (secured is not None)
    agreed = answer(body, under(policy))
    if secured is None:
        assert agreed.picture is None
        assert b"m=video 0 " in agreed.body
        return
    assert (agreed.picture.srtp is not None) == secured
    assert any(line.startswith("a=crypto:1 ") for line in picture_lines(agreed.body)) == secured
    kind = "RTP/SAVP" if picture == "SAVP" else "RTP/AVP"
    assert f"m=video 30000 {kind} 97\r\n".encode() in agreed.body
    if secured:
        assert agreed.picture.srtp.remote_key == "A" * 40
        assert agreed.picture.srtp.local_key.encode() in agreed.body
        if voice:
            assert agreed.picture.srtp.local_key != agreed.remote.srtp.local_key
    assert sdp.agreed_picture(agreed.body, body.encode()) == agreed.picture


def test_of_two_pictures_the_one_that_may_go_is_taken():
    agreed = answer(VOICE + CRYPTO + PICTURE + SECURED, under(SrtpPolicy.ACCEPT))
    assert agreed.body.index(b"m=video 0 RTP/AVP") < agreed.body.index(b"m=video 30000 RTP/SAVP")


def test_a_key_line_nobody_can_use_is_refused_with_savp_and_plain_without():
    broken = CRYPTO.replace("_80", "_99")
    assert answer(VOICE + SECURED.replace(CRYPTO, broken), under(SrtpPolicy.ACCEPT)).picture is None
    plain = answer(VOICE + PICTURE + broken, under(SrtpPolicy.ACCEPT)).picture
    assert plain.srtp is None


def test_our_keys_stay_from_answer_to_answer():
    terms = under(SrtpPolicy.ACCEPT)
    first = answer(VOICE + CRYPTO + SECURED, terms)
    again = sdp.answer(
        (VOICE + CRYPTO + SECURED).encode(), terms, OURS, Local(1), first.body, picture=SHOWN
    )
    assert again.picture.srtp == first.picture.srtp
    offered = sdp.offer(terms, OURS, Local(1, 2), again.body, picture=SHOWN)
    assert first.picture.srtp.local_key in offered.decode()
    assert b"m=video 30000 RTP/SAVP 97 98" in offered


def test_a_secured_picture_beside_a_plain_voice_stays_secured_in_our_offers():
    terms = under(SrtpPolicy.ACCEPT)
    first = answer(VOICE + SECURED, terms)
    offered = sdp.offer(terms, OURS, Local(1, 2), first.body, picture=SHOWN)
    assert b"m=audio 20000 RTP/AVP" in offered
    assert first.picture.srtp.local_key in offered.decode().partition("m=video")[2]


@pytest.mark.parametrize(
    ("policy", "kind"), [(SrtpPolicy.OFFER, "RTP/AVP"), (SrtpPolicy.REQUIRE, "RTP/SAVP")]
)
def test_what_is_offered_with_keys_and_what_comes_of_it(policy, kind):
    terms = under(policy)
    offered = sdp.offer(terms, OURS, Local(1), picture=SHOWN)
    assert f"m=video 30000 {kind} 97 98".encode() in offered
    lines = [line for line in picture_lines(offered) if line.startswith("a=crypto:")]
    assert [line.split()[1] for line in lines] == ["AEAD_AES_128_GCM", "AES_CM_128_HMAC_SHA1_80"]
    voices = [
        line for line in offered.decode().split("m=video")[0].split("\r\n") if "inline" in line
    ]
    assert not {line.split()[2] for line in lines} & {line.split()[2] for line in voices}
    taken = CRYPTO.replace("crypto:1", "crypto:2")
    voice = VOICE.replace("RTP/AVP", kind) + taken
    shown = f"m=video 4002 {kind} 97\r\na=rtpmap:97 H264/90000\r\n"
    agreed = sdp.accept((voice + shown + taken).encode(), terms, offered)
    assert agreed.picture.srtp.suite == "AES_CM_128_HMAC_SHA1_80"
    assert agreed.picture.srtp.remote_key == "A" * 40
    assert agreed.picture.srtp.local_key == lines[1].split("inline:")[1]
    assert sdp.accept((voice + shown).encode(), terms, offered).picture is None
    assert sdp.accept((voice + shown + OTHER).encode(), terms, offered).picture is None


def test_keys_that_were_offered_beside_avp_need_not_be_taken():
    terms = under(SrtpPolicy.OFFER)
    offered = sdp.offer(terms, OURS, Local(1), picture=SHOWN)
    theirs = VOICE + "m=video 4002 RTP/AVP 97\r\na=rtpmap:97 H264/90000\r\n"
    agreed = sdp.accept(theirs.encode(), terms, offered)
    assert (agreed.remote.srtp, agreed.picture.srtp) == (None, None)


# --- addresses ------------------------------------------------------------------------------------------------

SIX_VOICE = VOICE.replace("IP4 192.0.2.9", "IP6 2001:db8::9")
OURS_SIX, SHOWN_SIX = RtpAddress("2001:db8::1", 20_000), RtpAddress("2001:db8::1", 30_000)


def test_a_picture_on_ipv6_is_agreed_on_in_that_version_only():
    agreed = sdp.answer(
        (SIX_VOICE + PICTURE).encode(), TERMS, OURS_SIX, Local(1), picture=SHOWN_SIX
    )
    assert agreed.picture.address == RtpAddress("2001:db8::9", 4002)
    assert sdp.picture_address(agreed.body) == SHOWN_SIX
    mixed = VOICE + PICTURE.replace("b=TIAS", "c=IN IP6 2001:db8::1\r\nb=TIAS")
    assert answer(mixed).picture is None
    held = sdp.answer(
        (SIX_VOICE + PICTURE + "c=IN IP6 ::\r\n").encode(),
        TERMS,
        OURS_SIX,
        Local(1),
        picture=SHOWN_SIX,
    )
    assert not held.picture.receives


def test_a_picture_received_on_another_machine_than_the_voice_says_so():
    elsewhere = RtpAddress("192.0.2.77", 30_000)
    for body in (
        answer(VOICE + PICTURE, picture=elsewhere).body,
        sdp.offer(TERMS, OURS, Local(1), picture=elsewhere),
    ):
        assert b"RTP/AVP 97" in body
        assert sdp.picture_address(body) == elsewhere
        assert sdp.voice_address(body) == OURS


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
