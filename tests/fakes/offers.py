"""Offers as the programs that publish and view write them, shortened to what matters."""

FINGERPRINT = ":".join(["AB"] * 32)
_CHROMIUM_HEAD = f"""v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111 63 110
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qq8o
a=ice-pwd:uO7VYbRjkpTrZTtDLbmQgyTw
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:0
a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=DIRECTION
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;useinbandfec=1
a=rtpmap:63 red/48000/2
a=rtpmap:110 telephone-event/48000
"""
_CHROMIUM_VIDEO = f"""m=video 9 UDP/TLS/RTP/SAVPF 96 97 103 104 107 108 45 46 98 99 114
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Qq8o
a=ice-pwd:uO7VYbRjkpTrZTtDLbmQgyTw
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=mid:1
a=extmap:14 urn:ietf:params:rtp-hdrext:toffset
a=extmap:2 http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time
a=extmap:3 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:10 urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id
a=extmap:11 urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id
a=DIRECTION
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:96 VP8/90000
a=rtcp-fb:96 goog-remb
a=rtcp-fb:96 transport-cc
a=rtcp-fb:96 ccm fir
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtpmap:97 rtx/90000
a=fmtp:97 apt=96
a=rtpmap:103 H264/90000
a=rtcp-fb:103 nack
a=fmtp:103 level-asymmetry-allowed=1;packetization-mode=0;profile-level-id=42e01f
a=rtpmap:104 rtx/90000
a=fmtp:104 apt=103
a=rtpmap:107 H264/90000
a=rtcp-fb:107 goog-remb
a=rtcp-fb:107 transport-cc
a=rtcp-fb:107 ccm fir
a=rtcp-fb:107 nack
a=rtcp-fb:107 nack pli
a=fmtp:107 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f
a=rtpmap:108 rtx/90000
a=fmtp:108 apt=107
a=rtpmap:45 AV1/90000
a=rtcp-fb:45 nack
a=fmtp:45 level-idx=5;profile=0;tier=0
a=rtpmap:46 rtx/90000
a=fmtp:46 apt=45
a=rtpmap:98 VP9/90000
a=rtcp-fb:98 nack
a=fmtp:98 profile-id=0
a=rtpmap:99 rtx/90000
a=fmtp:99 apt=98
a=rtpmap:114 VP9/90000
a=fmtp:114 profile-id=2
"""
_PLAIN = """a=ssrc-group:FID 3735928559 3735928560
a=ssrc:3735928559 cname:x
a=ssrc:3735928560 cname:x
"""
_SIMULCAST = """a=rid:f send
a=rid:h send
a=rid:q send
a=simulcast:send f;h;q
"""


def _crlf(text: str) -> str:
    return text.replace("\n", "\r\n")


def chromium(*, simulcast: bool = False, direction: str = "sendonly") -> str:
    tail = "" if direction == "recvonly" else _SIMULCAST if simulcast else _PLAIN
    return _crlf((_CHROMIUM_HEAD + _CHROMIUM_VIDEO + tail).replace("DIRECTION", direction))


FFMPEG = _crlf(f"""v=0
o=FFmpeg 4489045141692799359 2 IN IP4 127.0.0.1
s=FFmpegPublishSession
t=0 0
a=group:BUNDLE 0 1
a=extmap-allow-mixed
a=msid-semantic: WMS
m=audio 9 UDP/TLS/RTP/SAVPF 111
c=IN IP4 0.0.0.0
a=ice-ufrag:a174b
a=ice-pwd:17c5f3df2b3e4a4b8e51c7ff
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=mid:0
a=sendonly
a=msid:FFmpeg audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=ssrc:1391827461 cname:FFmpeg
a=ssrc:1391827461 msid:FFmpeg audio
m=video 9 UDP/TLS/RTP/SAVPF 106 105
c=IN IP4 0.0.0.0
a=ice-ufrag:a174b
a=ice-pwd:17c5f3df2b3e4a4b8e51c7ff
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:passive
a=mid:1
a=sendonly
a=msid:FFmpeg video
a=rtcp-mux
a=rtcp-rsize
a=rtpmap:106 H264/90000
a=fmtp:106 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028
a=rtcp-fb:106 nack
a=rtpmap:105 rtx/90000
a=fmtp:105 apt=106
a=ssrc-group:FID 1391827462 1391827463
a=ssrc:1391827462 cname:FFmpeg
a=ssrc:1391827463 cname:FFmpeg
""")

OBS = _crlf(f"""v=0
o=rtc 2733420193 0 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0 1
a=group:LS 0 1
a=msid-semantic:WMS *
a=setup:actpass
a=ice-ufrag:WHmc
a=ice-pwd:cs7OtuFzM4oL0ZqGhqH0Xz
a=ice-options:ice2,trickle
a=fingerprint:sha-256 {FINGERPRINT}
m=audio 34437 UDP/TLS/RTP/SAVPF 111
c=IN IP4 192.0.2.7
a=mid:0
a=sendonly
a=ssrc:1700000001 cname:obs
a=ssrc:1700000001 msid:obs obs-audio
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=fmtp:111 minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1
a=candidate:1 1 UDP 2114977791 192.0.2.7 34437 typ host
a=end-of-candidates
m=video 34437 UDP/TLS/RTP/SAVPF 96
c=IN IP4 192.0.2.7
a=mid:1
a=sendonly
a=ssrc:1700000002 cname:obs
a=ssrc:1700000002 msid:obs obs-video
a=rtcp-mux
a=rtpmap:96 H264/90000
a=rtcp-fb:96 nack
a=rtcp-fb:96 nack pli
a=rtcp-fb:96 goog-remb
a=fmtp:96 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1
""")

GSTREAMER = _crlf(f"""v=0
o=- 8431937420198243617 0 IN IP4 0.0.0.0
s=-
t=0 0
a=ice-options:trickle
a=group:BUNDLE video0 audio1
m=video 9 UDP/TLS/RTP/SAVPF 97
c=IN IP4 0.0.0.0
a=setup:actpass
a=ice-ufrag:mXqzq2bYrcOy8hKm2T7lVm8cYVRvGmmQ
a=ice-pwd:rTn4Ni9N0rKJxQd0GVU7bMJ3oxPo6HPR
a=rtcp-mux
a=rtcp-rsize
a=sendonly
a=rtpmap:97 H264/90000
a=rtcp-fb:97 nack
a=rtcp-fb:97 nack pli
a=framerate:30
a=fmtp:97 packetization-mode=1;profile-level-id=42c01f;sprop-parameter-sets=Z0LAH9oBQBbsBEAAAAMAQAAADwPGDKg=,aM48gA==
a=ssrc:2719827361 msid:user1 webrtctransceiver0
a=ssrc:2719827361 cname:user1@host
a=mid:video0
a=fingerprint:sha-256 {FINGERPRINT}
m=audio 0 UDP/TLS/RTP/SAVPF 96
c=IN IP4 0.0.0.0
a=bundle-only
a=setup:actpass
a=ice-ufrag:mXqzq2bYrcOy8hKm2T7lVm8cYVRvGmmQ
a=ice-pwd:rTn4Ni9N0rKJxQd0GVU7bMJ3oxPo6HPR
a=rtcp-mux
a=sendonly
a=rtpmap:96 OPUS/48000/2
a=fmtp:96 sprop-stereo=0;useinbandfec=1
a=mid:audio1
a=fingerprint:sha-256 {FINGERPRINT}
""")

WERIFT = _crlf(f"""v=0
o=- 29817365 0 IN IP4 0.0.0.0
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic:WMS *
m=video 9 UDP/TLS/RTP/SAVPF 97 98
c=IN IP4 0.0.0.0
a=ice-ufrag:8f6e
a=ice-pwd:3f2ad34cba5cf0b3b1a4fa1b6a2f84f1
a=ice-options:trickle
a=fingerprint:sha-256 {FINGERPRINT}
a=setup:actpass
a=sendonly
a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid
a=extmap:2 http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01
a=mid:0
a=msid:- 8a5e
a=rtcp:9 IN IP4 0.0.0.0
a=rtcp-mux
a=rtpmap:97 VP8/90000
a=rtcp-fb:97 nack
a=rtcp-fb:97 nack pli
a=rtcp-fb:97 transport-cc
a=rtpmap:98 rtx/90000
a=fmtp:98 apt=97
a=ssrc-group:FID 77 78
a=ssrc:77 cname:w
a=ssrc:78 cname:w
""")

PUBLISHERS = {
    "chromium": chromium(),
    "chromium-simulcast": chromium(simulcast=True),
    "ffmpeg": FFMPEG,
    "obs": OBS,
    "gstreamer": GSTREAMER,
    "werift": WERIFT,
}
