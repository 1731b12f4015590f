"""GStreamer as an encoder that publishes by WHIP: its `webrtcbin`, which its WHIP elements are made of, run by the system's Python:
`python3 gst_whip.py URL TOKEN`. The distribution's GStreamer (1.22) has no WHIP element itself.

640×360 of one grey with a ball in H.264 and a tone in Opus, until killed.
"""

import sys
import urllib.request

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstSdp", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402 - versions are chosen before

AGENTS = []
PIPELINE = """
webrtcbin name=out bundle-policy=max-bundle
videotestsrc is-live=true pattern=solid-color foreground-color=0xff8c8c8c
  ! video/x-raw,width=640,height=360,framerate=15/1 ! videoconvert
  ! x264enc tune=zerolatency speed-preset=ultrafast key-int-max=30 bitrate=800 ! video/x-h264,profile=constrained-baseline
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency pt=96
  ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! out.
audiotestsrc is-live=true freq=500 ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=97
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! out.
"""


def publish(url, token):
    pipeline = Gst.parse_launch(PIPELINE)
    out = pipeline.get_by_name("out")
    # A hub on this machine is reached by loopback, which libnice leaves out by itself. Held: the binding would free it.
    agent = out.get_property("ice-agent")
    agent.emit("add-local-ip-address", "127.0.0.1")
    AGENTS.append(agent)

    def offered(promise):
        # What the reply has goes with it.
        reply = promise.get_reply()
        out.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

    def gathered(_bin, _state):
        if out.get_property("ice-gathering-state") != GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            return
        offer = out.get_property("local-description").sdp.as_text()
        request = urllib.request.Request(
            url,
            offer.encode(),
            {"Content-Type": "application/sdp", "Authorization": f"Bearer {token}"},
        )
        with urllib.request.urlopen(request, timeout=15) as answer:
            _, sdp = GstSdp.SDPMessage.new_from_text(answer.read().decode())
        described = GstWebRTC.WebRTCSessionDescription.new(GstWebRTC.WebRTCSDPType.ANSWER, sdp)
        out.emit("set-remote-description", described, Gst.Promise.new())

    def wanted(_bin):
        out.emit("create-offer", None, Gst.Promise.new_with_change_func(offered))

    out.connect("on-negotiation-needed", wanted)
    out.connect("notify::ice-gathering-state", gathered)
    for index in range(2):
        out.emit("get-transceiver", index).set_property(
            "direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
        )
    pipeline.set_state(Gst.State.PLAYING)


if __name__ == "__main__":
    Gst.init(None)
    publish(*sys.argv[1:])
    GLib.MainLoop().run()
