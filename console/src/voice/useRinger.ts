/** Rings at the desk while somebody waits: 450 Hz, a second on and two off, as a telephone exchange would. */

import { onBeforeUnmount, watch } from 'vue'

const TONE_HZ = 450
const LOUDNESS = 0.12
const ON_S = 1
const EVERY_MS = 3000

export function useRinger(rings: () => boolean): void {
  let context: AudioContext | null = null
  let timer: ReturnType<typeof setInterval> | undefined

  function ring(): void {
    // A browser that was not clicked on yet keeps it suspended: then the strip alone says it.
    context ??= new AudioContext()
    if (context.state !== 'running') {
      void context.resume()
      return
    }
    const tone = context.createOscillator()
    const gain = context.createGain()
    tone.frequency.value = TONE_HZ
    gain.gain.value = LOUDNESS
    tone.connect(gain).connect(context.destination)
    tone.start()
    tone.stop(context.currentTime + ON_S)
  }

  function stop(): void {
    clearInterval(timer)
    timer = undefined
  }

  watch(
    rings,
    (now) => {
      stop()
      if (!now || typeof AudioContext === 'undefined') return
      ring()
      timer = setInterval(ring, EVERY_MS)
    },
    { immediate: true },
  )
  onBeforeUnmount(() => {
    stop()
    void context?.close()
  })
}
