/** Spans of time for people: `0:42`, `12:05`, `3:07:11`, `2 d 4 h`. */

const MINUTE = 60
const HOUR = 3600
const DAY = 86_400

const two = (n: number): string => String(n).padStart(2, '0')

/** Seconds as a clock face; never negative. */
export function clockFace(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds))
  const hours = Math.floor(whole / HOUR)
  const minutes = Math.floor((whole % HOUR) / MINUTE)
  const rest = two(whole % MINUTE)
  return hours > 0 ? `${hours}:${two(minutes)}:${rest}` : `${minutes}:${rest}`
}

/** A long span in its two largest units. */
export function longSpan(seconds: number, locale: string): string {
  const days = Math.floor(seconds / DAY)
  if (days === 0) return clockFace(seconds)
  const hours = Math.floor((seconds % DAY) / HOUR)
  return locale === 'en' ? `${days} d ${hours} h` : `${days} 天 ${hours} 小时`
}

export interface Remaining {
  /** Whole seconds, rounded so that a deadline just passed is over at once; always ≥ 0. */
  seconds: number
  over: boolean
  /** Under a minute left, or over. */
  pressing: boolean
}

/** What is left until a deadline, or how far it is past. */
export function remaining(deadline: string, now: number): Remaining {
  const left = Math.ceil((Date.parse(deadline) - now) / 1000)
  return { seconds: Math.abs(left), over: left <= 0, pressing: left <= MINUTE }
}

/** Seconds from `start` to `end` or now. */
export function elapsed(start: string, end: string | null, now: number): number {
  return ((end === null ? now : Date.parse(end)) - Date.parse(start)) / 1000
}

/** A moment: the time of day, with the date when it was another day. */
export function moment(at: string | number, locale: string, now: number, seconds = true): string {
  const when = new Date(at)
  const time = when.toLocaleTimeString(locale, {
    hour: '2-digit',
    minute: '2-digit',
    second: seconds ? '2-digit' : undefined,
    hourCycle: 'h23',
  })
  if (when.toDateString() === new Date(now).toDateString()) return time
  const day = when.toLocaleDateString(locale, { month: '2-digit', day: '2-digit' })
  return `${day} ${time}`
}
