/** WHIP and WHEP of the fake hub by werift: whoever publishes is taken for live, whoever watches gets a moving picture. */

import { Buffer } from 'node:buffer'

import {
  MediaStreamTrack,
  RTCPeerConnection,
  RtpHeader,
  RtpPacket,
  useH264,
  useOPUS,
  useSdesMid,
  useSdesRTPStreamId,
} from 'werift'

import { newId } from './hub.ts'
import { MovingPicture } from './picture.ts'

const FRAME_MS = 100
const CLOCK = 90_000
const LARGEST = 1100

interface Wire {
  peer: RTCPeerConnection
  stop: () => void
}

/** Payloads of RTP for the NAL units of a frame (RFC 6184, packetization mode 1). */
function* payloads(nals: Buffer[]): Generator<Buffer> {
  for (const nal of nals) {
    if (nal.length <= LARGEST) {
      yield nal
      continue
    }
    const header = nal[0] ?? 0
    for (let at = 1; at < nal.length; at += LARGEST) {
      const piece = nal.subarray(at, at + LARGEST)
      const first = at === 1 ? 0x80 : 0
      const last = at + LARGEST >= nal.length ? 0x40 : 0
      yield Buffer.concat([
        Buffer.from([(header & 0xe0) | 28, first | last | (header & 0x1f)]),
        piece,
      ])
    }
  }
}

function hueOf(name: string): number {
  return [...name].reduce((sum, sign) => (sum * 31 + (sign.codePointAt(0) ?? 0)) % 360, 7)
}

export class FakeWires {
  private readonly wires = new Map<string, Wire>()

  /** Answer somebody who publishes. `ended` is called when they are gone. */
  async publish(offer: string, ended: () => void): Promise<{ id: string; answer: string }> {
    const peer = this.peer()
    return this.answer(peer, offer, () => undefined, ended)
  }

  /** Answer somebody who watches `source`. */
  async view(source: string, offer: string): Promise<{ id: string; answer: string }> {
    const peer = this.peer()
    const track = new MediaStreamTrack({ kind: 'video' })
    peer.addTransceiver(track, { direction: 'sendonly' })
    const picture = new MovingPicture(hueOf(source))
    let sequence = 0
    let timestamp = 0
    let begun = false
    const timer = setInterval(() => {
      if (peer.connectionState !== 'connected') return
      const pieces = [...payloads(picture.next(!begun))]
      begun = true
      timestamp = (timestamp + (CLOCK * FRAME_MS) / 1000) >>> 0
      pieces.forEach((payload, i) => {
        sequence = (sequence + 1) & 0xffff
        const header = new RtpHeader({
          sequenceNumber: sequence,
          timestamp,
          marker: i === pieces.length - 1,
        })
        track.writeRtp(new RtpPacket(header, payload))
      })
    }, FRAME_MS)
    return this.answer(
      peer,
      offer,
      () => clearInterval(timer),
      () => undefined,
    )
  }

  has(id: string): boolean {
    return this.wires.has(id)
  }

  async close(id: string): Promise<void> {
    const wire = this.wires.get(id)
    this.wires.delete(id)
    wire?.stop()
    await wire?.peer.close()
  }

  private peer(): RTCPeerConnection {
    return new RTCPeerConnection({
      codecs: { video: [useH264()], audio: [useOPUS()] },
      // A browser that sends two layers insists on their names.
      headerExtensions: { video: [useSdesMid(), useSdesRTPStreamId()], audio: [useSdesMid()] },
      iceServers: [],
      iceUseIpv6: false,
      iceAdditionalHostAddresses: ['127.0.0.1'],
      bundlePolicy: 'max-bundle',
    })
  }

  private async answer(
    peer: RTCPeerConnection,
    offer: string,
    stop: () => void,
    ended: () => void,
  ): Promise<{ id: string; answer: string }> {
    const id = newId()
    this.wires.set(id, { peer, stop })
    peer.connectionStateChange.subscribe((state) => {
      if (state !== 'closed' && state !== 'failed' && state !== 'disconnected') return
      void this.close(id)
      ended()
    })
    await peer.setRemoteDescription({ type: 'offer', sdp: offer })
    await peer.setLocalDescription(await peer.createAnswer())
    return { id, answer: peer.localDescription?.sdp ?? '' }
  }
}
