"""Codecs other than G.711, one module each: between payloads and 20 ms ticks of 16 kHz samples.

`codec` says what a codec is, `book` finds one by its RTP encoding name; `pyav` is what those made with PyAV share.
A new codec is one module with an object like `codec.Codec`, entered in `book.usual_codecs` (or in the book that
is handed to the engine): legs of it can then be connected, mixed, shared between listeners and measured.
"""
