/**
 * Moving pictures without an encoder: H.264 (constrained baseline) written by hand, of blocks that stand in the stream as they are
 * (I_PCM) and blocks that stay as they were (skipped). Bars of the source's own colour, and a block that wanders.
 */

import { Buffer } from 'node:buffer'

const WIDTH = 20
const HEIGHT = 12
/** 320×180: the last row of blocks is cut to a quarter. */
const CROP_BOTTOM = 6
const FRAMES_A_GROUP = 40
const FRAME_NUMBERS = 16

class Bits {
  private readonly bytes: number[] = []
  private byte = 0
  private used = 0

  put(value: number, width: number): this {
    for (let at = width - 1; at >= 0; at -= 1) {
      this.byte = (this.byte << 1) | ((value >> at) & 1)
      this.used += 1
      if (this.used === 8) {
        this.bytes.push(this.byte)
        this.byte = this.used = 0
      }
    }
    return this
  }

  /** Unsigned Exp-Golomb (§9.1). */
  ue(value: number): this {
    const width = Math.floor(Math.log2(value + 1))
    return this.put(0, width).put(value + 1, width + 1)
  }

  align(): this {
    while (this.used !== 0) this.put(0, 1)
    return this
  }

  raw(bytes: Uint8Array): this {
    for (const byte of bytes) this.bytes.push(byte)
    return this
  }

  /** The NAL unit: stop bit, and no run in it that looks like a start code (§7.4.1). */
  nal(header: number): Buffer {
    this.put(1, 1).align()
    const safe = [header]
    let zeros = 0
    for (const byte of this.bytes) {
      if (zeros === 2 && byte <= 3) {
        safe.push(3)
        zeros = 0
      }
      safe.push(byte)
      zeros = byte === 0 ? zeros + 1 : 0
    }
    return Buffer.from(safe)
  }
}

const PARAMETERS = [
  // Profile 42e0, level 3.1; 16 frame numbers, order of output is order of decoding, one reference.
  new Bits()
    .put(0x42e01f, 24)
    .ue(0)
    .ue(0)
    .ue(2)
    .ue(1)
    .put(0, 1)
    .ue(WIDTH - 1)
    .ue(HEIGHT - 1)
    .put(0b111, 3)
    .ue(0)
    .ue(0)
    .ue(0)
    .ue(CROP_BOTTOM)
    .put(0, 1)
    .nal(0x67),
  // CAVLC, no weights, and each slice says that edges are left alone.
  new Bits()
    .ue(0)
    .ue(0)
    .put(0, 2)
    .ue(0)
    .ue(0)
    .ue(0)
    .put(0, 3)
    .ue(0)
    .ue(0)
    .ue(0)
    .put(0b100, 3)
    .nal(0x68),
]

/** Luma and both chromas of a block of one colour, the luma falling a little to the bottom. */
function block(y: number, u: number, v: number): Uint8Array {
  const samples = new Uint8Array(384)
  for (let i = 0; i < 256; i += 1) samples[i] = Math.max(16, y - (i >> 4))
  samples.fill(u, 256, 320)
  samples.fill(v, 320)
  return samples
}

/** What one source shows; `hue` tells it from others. */
export class MovingPicture {
  private count = 0
  private at = 0
  private readonly chroma: [number, number]

  constructor(hue: number) {
    const angle = (hue / 360) * 2 * Math.PI
    this.chroma = [Math.round(128 + 62 * Math.cos(angle)), Math.round(128 + 62 * Math.sin(angle))]
  }

  /** The next frame as NAL units; `whole`: one that can be begun with. */
  next(whole = false): Buffer[] {
    if (whole || this.count === FRAMES_A_GROUP) this.count = 0
    const before = this.at
    this.at = (this.at + 1) % (WIDTH * 4)
    const isKey = this.count === 0
    const slice = isKey ? this.keyFrame() : this.change(before)
    this.count += 1
    return isKey ? [...PARAMETERS, slice] : [slice]
  }

  private keyFrame(): Buffer {
    // I slice of an IDR picture (§7.3.3).
    const bits = new Bits().ue(0).ue(7).ue(0).put(0, 4).ue(0).put(0, 2).ue(0).ue(1)
    for (let n = 0; n < WIDTH * HEIGHT; n += 1) bits.ue(25).align().raw(this.blockAt(n))
    return bits.nal(0x65)
  }

  /** P slice: only the blocks that the wanderer leaves and enters. */
  private change(before: number): Buffer {
    const number = this.count % FRAME_NUMBERS
    const bits = new Bits().ue(0).ue(5).ue(0).put(number, 4).put(0, 3).ue(0).ue(1)
    const changed = [...new Set([...this.wanderer(before), ...this.wanderer(this.at)])]
    let done = 0
    for (const n of changed.sort((a, b) => a - b)) {
      bits
        .ue(n - done)
        .ue(30)
        .align()
        .raw(this.blockAt(n))
      done = n + 1
    }
    const rest = WIDTH * HEIGHT - done
    if (rest > 0) bits.ue(rest)
    return bits.nal(0x41)
  }

  private wanderer(at: number): number[] {
    const column = Math.floor(at / 4) % (WIDTH - 1)
    return [6, 7].flatMap((row) => [row * WIDTH + column, row * WIDTH + column + 1])
  }

  private blockAt(n: number): Uint8Array {
    const [u, v] = this.chroma
    if (this.wanderer(this.at).includes(n)) return block(235, 128, 128)
    const bar = Math.floor((n % WIDTH) / 4)
    const row = Math.floor(n / WIDTH)
    return block(60 + bar * 18 - row * 2, u, v)
  }
}
