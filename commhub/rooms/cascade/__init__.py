"""Cascade (级联): a room of ours joined with a room of a neighbouring hub, so that a meeting is one over street, district and city.

Each hub has its half, with its own people and pictures. `joining` makes two rooms one, and compares both halves whenever the link
comes back; `telling` tells a neighbour the pictures of our half; `fetching` has a neighbour's picture come while somebody here
needs it; `uplinks` sends ours where they are needed; `speaking` has one speaker in all halves. Voices cross as a leg of the room's call.

What holds is rows (`RoomCascade`, `RemoteSource`, `Uplink`); what the neighbour was told is of the moment, and told anew with each
link. Nothing here waits for a neighbour while it holds a row.
"""
