"""`commhub demo`: a hub with simulated equipment, to look at or to play the story of an incident on.

`town` is who and what there is, `settle` brings it into a fresh hub, `equipment` runs the simulators, `stage`
puts the three together with the hubs `above`, `story` is the story (`watching` its step that is looked at), `story_above` its part between tiers,
`cast` who plays in it.
"""

from commhub.wiring.demo.run import play_script, run_demo

__all__ = ["play_script", "run_demo"]
