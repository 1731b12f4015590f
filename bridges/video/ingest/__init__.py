"""Cameras that are pulled by RTSP: their packets as the forwarder has everybody's, nothing decoded.

What a camera sends is taken apart by FFmpeg, in C, from strangers: it runs in a process of its own (`puller`, a thread a camera), so
that one that stalls, floods or breaks it stops nobody. `packing` makes RTP of a picture, `letters` is what the process writes to the worker,
`pulls` is the worker's side.
"""
