/**
 * werift as a far end of WHIP and WHEP, and as an ingest the hub pushes to: a WebRTC stack of nobody the hub's own is
 * made of (ICE, DTLS and SRTP in TypeScript). The tests carry offers and answers. What it publishes reaches it as RTP at a UDP port, and what it gets
 * of a view it sends to one; commands come as one JSON line each, and each is answered by one.
 *
 *   node e2e/werift.ts
 */

import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { createInterface } from 'node:readline'

import { MediaStreamTrack, RTCPeerConnection, useH264, useVP8 } from 'werift'

interface Command {
  do: string
  id: string
  sdp: string
  codec: string
  /** Where a view's packets go; 0 for who publishes. */
  port: number
}

interface End {
  pc: RTCPeerConnection
  packets: number
}

const ends = new Map<string, End>()
const socket = createSocket('udp4')

/** A connection that publishes; the answer says at which port its packets are expected. */
async function publish(end: End): Promise<number> {
  const track = new MediaStreamTrack({ kind: 'video' })
  end.pc.addTransceiver(track, { direction: 'sendonly' })
  const source = createSocket('udp4')
  source.on('message', (packet) => {
    if (end.pc.connectionState === 'connected') {
      end.packets += 1
      track.writeRtp(packet)
    }
  })
  source.bind(0, '127.0.0.1')
  await once(source, 'listening')
  end.pc.connectionStateChange.subscribe((state) => {
    if (state === 'closed') source.close()
  })
  return source.address().port
}

function view(end: End, port: number): void {
  const { onTrack } = end.pc.addTransceiver('video', { direction: 'recvonly' })
  onTrack.subscribe((track) => {
    track.onReceiveRtp.subscribe((packet) => {
      end.packets += 1
      socket.send(packet.serialize(), port, '127.0.0.1')
    })
  })
}

function endOf(id: string): End {
  const end = ends.get(id)
  if (end === undefined) throw new Error(`no connection ${id}`)
  return end
}

function connection(codec: string): RTCPeerConnection {
  return new RTCPeerConnection({
    codecs: { video: [codec === 'VP8' ? useVP8() : useH264()] },
    iceServers: [],
    iceUseIpv6: false,
    iceAdditionalHostAddresses: ['127.0.0.1'],
    bundlePolicy: 'max-bundle',
  })
}

async function carryOut({ do: step, id, sdp, codec, port }: Command): Promise<unknown> {
  switch (step) {
    case 'open': {
      const pc = connection(codec)
      const end = { pc, packets: 0 }
      ends.set(id, end)
      const source = port === 0 ? await publish(end) : 0
      if (port !== 0) view(end, port)
      await pc.setLocalDescription(await pc.createOffer())
      return { sdp: pc.localDescription?.sdp ?? '', port: source }
    }
    case 'answer': {
      const pc = connection(codec)
      const end = { pc, packets: 0 }
      ends.set(id, end)
      view(end, port)
      await pc.setRemoteDescription({ type: 'offer', sdp })
      await pc.setLocalDescription(await pc.createAnswer())
      return { sdp: pc.localDescription?.sdp ?? '' }
    }
    case 'accept':
      return endOf(id).pc.setRemoteDescription({ type: 'answer', sdp })
    case 'stats':
      return { state: endOf(id).pc.connectionState, packets: endOf(id).packets }
    case 'close': {
      const end = endOf(id)
      ends.delete(id)
      return end.pc.close()
    }
    default:
      throw new Error(`no step ${step}`)
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  let answer: unknown
  try {
    answer = { ok: (await carryOut(JSON.parse(line) as Command)) ?? null }
  } catch (error) {
    answer = { failed: String(error) }
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`)
}
process.exit(0)
