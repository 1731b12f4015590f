"""Field equipment over MQTT: the broker, the hub's two connections to it, and radio groups as legs of calls.

`broker` runs mosquitto and `credentials` says who may enter; `connection` carries births, alarms and commands for
the control process (MQTT v5, acknowledged after the commit); `voice` carries speech frames for the media worker
(MQTT v3.1.1, lossy by design). `topics`, `payloads` and `frames` are the wire formats, and nothing else reads them.
"""
