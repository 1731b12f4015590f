"""Tools without domain words: nothing here knows what an incident or a call is."""
