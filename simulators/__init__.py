"""Equipment that is not here: phones, body cameras, radios, the WeChat Work server.

Each is a process of its own that speaks only real protocols to the hub and imports nothing of it, with a small
HTTP page to command and observe it: `GET /` for people, `GET /state` and `POST /do/COMMAND` for scripts.
"""
