"""Cameras by RTSP: GStreamer's server, run by the system's Python, which has its bindings: `python3 rtsp_server.py PORT USER PASSWORD`.

`/main` is 1280×720 of one grey with a ball, `/sub` 640×360 of another, `/vp8` what no viewer of ours is sent from a camera; all of them want
the password.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402 - versions are chosen before

SOURCE = "videotestsrc is-live=true pattern=solid-color foreground-color={colour} ! video/x-raw,width={width},height={height},framerate=15/1"
H264 = "x264enc tune=zerolatency speed-preset=ultrafast key-int-max=15 bitrate=1500 ! video/x-h264,profile=baseline ! rtph264pay name=pay0 pt=96"
GREYS = {"/main": (0xFF505050, 1280, 720), "/sub": (0xFFB0B0B0, 640, 360)}


def factory(launch):
    made = GstRtspServer.RTSPMediaFactory()
    made.set_launch(f"( {launch} )")
    made.set_shared(True)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role("viewer", "media.factory.access", True)
    permissions.add_permission_for_role("viewer", "media.factory.construct", True)
    made.set_permissions(permissions)
    return made


def main(port, user, password):
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    auth = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", "viewer")
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    mounts = server.get_mount_points()
    for path, (colour, width, height) in GREYS.items():
        source = SOURCE.format(colour=colour, width=width, height=height)
        mounts.add_factory(path, factory(f"{source} ! videoconvert ! {H264}"))
    source = SOURCE.format(colour=0, width=320, height=240)
    mounts.add_factory(
        "/vp8", factory(f"{source} ! videoconvert ! vp8enc deadline=1 ! rtpvp8pay name=pay0 pt=97")
    )
    server.attach(None)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
