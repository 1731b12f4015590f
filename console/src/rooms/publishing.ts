/** What a browser sends into a room: main and sub-stream of its camera, its voice, or a screen. */

/** Pictures go on as they come in, so all should speak what room systems and body cameras speak. */
const FIRST = ['video/H264', 'video/VP8', 'video/VP9', 'video/AV1']

const MAIN_BPS = 4_200_000
const SUB_BPS = 900_000
const SCREEN_BPS = 2_500_000

export interface Tracks {
  audio: MediaStreamTrack | null
  video: MediaStreamTrack | null
}

type Codec = Pick<RTCRtpCodec, 'mimeType' | 'sdpFmtpLine'>

/** The codecs of a browser in our order; constrained baseline H.264 (42e01f) with packetization mode 1 before its other forms. */
export function inOurOrder<T extends Codec>(codecs: readonly T[]): T[] {
  const rank = (codec: T): number => {
    const place = FIRST.indexOf(codec.mimeType)
    if (place !== 0) return place < 0 ? FIRST.length * 4 : place * 4
    const form = codec.sdpFmtpLine ?? ''
    const isPlain = /profile-level-id=42e0/i.test(form)
    return (isPlain ? 0 : 2) + (form.includes('packetization-mode=1') ? 0 : 1)
  }
  return [...codecs].sort((a, b) => rank(a) - rank(b))
}

function prefer(transceiver: RTCRtpTransceiver): void {
  const able = RTCRtpSender.getCapabilities('video')?.codecs
  if (able !== undefined) transceiver.setCodecPreferences(inOurOrder(able))
}

/** Keep the size and let the rate of frames go down, where the browser knows that. */
function keepSize(sender: RTCRtpSender): void {
  const parameters = sender.getParameters()
  parameters.degradationPreference = 'maintain-resolution'
  // A browser that does not know it sends all the same.
  void sender.setParameters(parameters).catch(() => undefined)
}

/** A camera with the room's sound on the same connection. Without a track there is room for one that comes later. */
export function prepareCamera(peer: RTCPeerConnection, tracks: Tracks): void {
  peer.addTransceiver(tracks.audio ?? 'audio', { direction: 'sendrecv' })
  const video = peer.addTransceiver(tracks.video ?? 'video', {
    direction: 'sendonly',
    sendEncodings: [
      { rid: 'main', maxBitrate: MAIN_BPS, maxFramerate: 30 },
      { rid: 'sub', maxBitrate: SUB_BPS, maxFramerate: 30, scaleResolutionDownBy: 2 },
    ],
  })
  prefer(video)
  keepSize(video.sender)
}

export function prepareScreen(peer: RTCPeerConnection, track: MediaStreamTrack): void {
  const video = peer.addTransceiver(track, {
    direction: 'sendonly',
    sendEncodings: [{ maxBitrate: SCREEN_BPS }],
  })
  prefer(video)
  keepSize(video.sender)
}

/** To look, and perhaps to hear the room. */
export function prepareView(peer: RTCPeerConnection, hears: boolean): void {
  if (hears) peer.addTransceiver('audio', { direction: 'recvonly' })
  peer.addTransceiver('video', { direction: 'recvonly' })
}

/** Put another camera or microphone, or none, on a connection that stands. */
export async function replace(
  peer: RTCPeerConnection | null,
  kind: 'audio' | 'video',
  track: MediaStreamTrack | null,
): Promise<void> {
  const found = peer?.getTransceivers().find((one) => one.receiver.track.kind === kind)
  await found?.sender.replaceTrack(track)
}
