/**
 * The hub's time. A desk computer's clock may be wrong, and a countdown must not be: every answer's Date
 * header corrects it. One ticker serves all clocks on the page.
 */

import { readonly, ref, type Ref } from 'vue'

const TICK_MS = 1000
// The Date header has whole seconds; less than this is its own rounding.
const TOLERATED_MS = 2000

let skewMs = 0
const ticking = ref(Date.now())
let timer: ReturnType<typeof setInterval> | undefined

/** Now by the hub's clock, in milliseconds. */
export function hubNow(): number {
  return Date.now() + skewMs
}

/** Learn the hub's time from a Date header. */
export function noteServerTime(date: string | null, now: number = Date.now()): void {
  const told = date === null ? NaN : Date.parse(date)
  if (Number.isNaN(told)) return
  const difference = told - now
  skewMs = Math.abs(difference) > TOLERATED_MS ? difference : 0
}

/** The hub's time as a ref that moves once a second. */
export function useNow(): Readonly<Ref<number>> {
  timer ??= setInterval(() => {
    ticking.value = hubNow()
  }, TICK_MS)
  return readonly(ticking)
}
