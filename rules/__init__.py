"""Rules decide and never perform: which team, how soon, over which channels, and who is asked first.

`tables` is the model of a rule file, `cells` and `compiler` refuse whatever zen-engine would let fall silently
to the default row, `engine` answers `commhub.ports.decisions.Decisions`, `assignment` ranks responders, `book`
keeps the files and their history, `routes` shows and changes them.
"""
