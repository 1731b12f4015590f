"""Trunks and numbers: the lines to the public network, and which calls may take them.

`numbers` is pure: what a number means, and which lines it may take (nothing is allowed that is not listed). `toll` is
what such calls may cost and how many there may be. `line` is one trunk with its state, `lines` all of them;
`registration` and `probe` keep a trunk's state true, `credentials` answers its challenges. `dialling` is the stage of a
leg that rings over trunks, `arrival` takes calls from them, `identity` says who calls (RFC 3325).
"""
