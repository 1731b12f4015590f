"""The documents Twilio is answered with (TwiML), made by twilio's own builder.

After `<Connect>` comes a long `<Pause>`: when the stream ends without the call, for example because control was
killed, the caller waits there, and whoever controls then fetches the call back over REST at once. The `<Redirect>` at
its end is the last resort; the fragment of its URL asks Twilio to try again when nobody answers (webhook connection
overrides).
"""

from urllib.parse import urlencode

from twilio.twiml.voice_response import Connect, VoiceResponse

RETRIES = "#rc=5&rp=all&tt=15000"
_WAIT_S = 25
_RING_ON_S = 1


def connect(stream_url: str, ticket: str, resume_url: str) -> str:
    """Join the call to a media stream in both directions."""
    response, verb = VoiceResponse(), Connect()
    verb.stream(url=stream_url).parameter(name="ticket", value=ticket)
    response.append(verb)
    response.pause(length=_WAIT_S)
    response.redirect(resume_url + RETRIES, method="POST")
    return str(response)


def ring_on(resume_url: str) -> str:
    """Let the caller hear ringing and ask again. A leading pause does not pick the call up."""
    response = VoiceResponse()
    response.pause(length=_RING_ON_S)
    response.redirect(resume_url + RETRIES, method="POST")
    return str(response)


def hang_up() -> str:
    """End the call, whatever it was."""
    response = VoiceResponse()
    response.hangup()
    return str(response)


def reject(*, busy: bool = False) -> str:
    """Turn away a call that was never answered, without picking it up."""
    response = VoiceResponse()
    response.reject(reason="busy" if busy else "rejected")
    return str(response)


def url_with(base: str, path: str, **query: str) -> str:
    """An address of ours, as Twilio calls it."""
    return f"{base.rstrip('/')}{path}" + (f"?{urlencode(query)}" if query else "")
