"""What the payload of an RTP packet says of its picture, codec by codec, without decoding any.

Every module has `inspect(payload) → Picture` on a memoryview of the payload (without RTP header and padding); it copies
nothing but parameter sets, looks at a bounded number of bytes, and answers MALFORMED instead of raising.
"""
