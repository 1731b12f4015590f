/** What `getStats` says of a connection, as figures people read. Pure: two readings make the rates. */

export interface Reading {
  /** Milliseconds by the browser's clock. */
  at: number
  /** Everything that arrived at all, so also reports and connectivity checks: the sign of life of the way there. */
  alive: number
  frames: number
  bytes: number
  height: number
  width: number
  lost: number
  dropped: number
  /** Sum of the seconds frames waited in the jitter buffer, and how many did. */
  waitedS: number
  waited: number
  roundTripMs: number | null
  codec: string
}

/** `delayMs` is what the network (half a round trip) and the jitter buffer add, not what camera and encoder do. */
export interface Figures {
  width: number
  height: number
  fps: number
  kbps: number
  lost: number
  dropped: number
  delayMs: number | null
  codec: string
}

type Stat = Record<string, unknown>

const number = (stat: Stat, name: string): number => Number(stat[name] ?? 0)

/** One reading of a report; of several layers that are sent the tallest counts for size, all for bytes. */
export function readStats(stats: Iterable<Stat>, at: number): Reading {
  const all = [...stats]
  const reading: Reading = {
    at,
    alive: 0,
    frames: 0,
    bytes: 0,
    height: 0,
    width: 0,
    lost: 0,
    dropped: 0,
    waitedS: 0,
    waited: 0,
    roundTripMs: null,
    codec: '',
  }
  for (const stat of all) {
    if (stat.type === 'candidate-pair' && (stat.nominated === true || stat.state === 'succeeded')) {
      reading.alive += number(stat, 'bytesReceived') + number(stat, 'responsesReceived')
      if (stat.currentRoundTripTime !== undefined) {
        reading.roundTripMs = number(stat, 'currentRoundTripTime') * 1000
      }
    }
    const isVideo = stat.kind === 'video'
    if (!isVideo || (stat.type !== 'inbound-rtp' && stat.type !== 'outbound-rtp')) continue
    const arrives = stat.type === 'inbound-rtp'
    reading.frames += number(stat, arrives ? 'framesDecoded' : 'framesEncoded')
    reading.bytes += number(stat, arrives ? 'bytesReceived' : 'bytesSent')
    reading.lost += number(stat, 'packetsLost')
    reading.dropped += number(stat, 'framesDropped')
    reading.waitedS += number(stat, 'jitterBufferDelay')
    reading.waited += number(stat, 'jitterBufferEmittedCount')
    if (number(stat, 'frameHeight') > reading.height) {
      reading.height = number(stat, 'frameHeight')
      reading.width = number(stat, 'frameWidth')
    }
    const codec = all.find((one) => one.id === stat.codecId)
    reading.codec ||= String(codec?.mimeType ?? '').replace('video/', '')
  }
  return reading
}

/** What happened between two readings. */
export function figuresOf(before: Reading, now: Reading): Figures {
  const seconds = Math.max(0.001, (now.at - before.at) / 1000)
  const waited = now.waited - before.waited
  const buffered = waited > 0 ? ((now.waitedS - before.waitedS) / waited) * 1000 : null
  const network = (now.roundTripMs ?? 0) / 2
  return {
    width: now.width,
    height: now.height,
    fps: Math.max(0, Math.round((now.frames - before.frames) / seconds)),
    kbps: Math.max(0, Math.round(((now.bytes - before.bytes) * 8) / 1000 / seconds)),
    lost: now.lost,
    dropped: now.dropped,
    delayMs: buffered === null ? null : Math.round(buffered + network),
    codec: now.codec,
  }
}
