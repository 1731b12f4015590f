"""A stand-in for Twilio: the part of its REST API, webhooks and media streams by which telephone legs live.

`api` takes what the hub asks, `call` is one call with its TwiML, `stream` its media, `webhook` the signed requests
back. Every behaviour is commented `doc:` (it is documented) or `assumed:` (it is not).
"""
