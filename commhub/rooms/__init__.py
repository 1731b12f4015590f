"""Rooms (会议): meetings, live views of cameras and the video wall in the dispatch model; their sound is a call."""
