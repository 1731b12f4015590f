"""The live socket: one model of what every desk shows, and each desk's place in what changed since."""
