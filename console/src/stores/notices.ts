/** Short words of the console to its user: never modal, never over the incoming strip. */

import { defineStore } from 'pinia'
import { ref } from 'vue'

import { ApiError } from '@/api/client'
import { i18n } from '@/i18n'

export interface Notice {
  id: number
  tone: 'green' | 'vermillion' | 'sky'
  text: string
}

const SHOWN_MS = { green: 4000, sky: 5000, vermillion: 9000 }

/** A refusal in the user's language, with the hub's own sentence behind it. */
export function explain(error: unknown): string {
  const { t, te } = i18n.global
  if (!(error instanceof ApiError)) return t('pages.problem.failed')
  const key = `pages.problem.${error.code}`
  const summary = te(key) || te(key, 'en') ? t(key) : t('pages.problem.failed')
  const detail = error.problem.detail
  return detail ? t('pages.problem.detail', { summary, detail }) : summary
}

export const useNotices = defineStore('notices', () => {
  const notices = ref<Notice[]>([])
  let last = 0

  function say(text: string, tone: Notice['tone'] = 'green'): void {
    const id = show(text, tone)
    setTimeout(() => dismiss(id), SHOWN_MS[tone])
  }

  function show(text: string, tone: Notice['tone']): number {
    const id = ++last
    notices.value = [...notices.value.slice(-3), { id, tone, text }]
    return id
  }

  /** An alarm of the outside lines, with the hub's own sentence behind it. Those of emergency calls stay until they are
   * put away. */
  function warn(alarm: string, detail: string): void {
    const { t, te } = i18n.global
    const key = `pages.lineAlarm.${alarm}`
    const summary = te(key) || te(key, 'en') ? t(key) : t('pages.lineAlarm.other')
    const text = t('pages.problem.detail', { summary, detail })
    if (alarm.startsWith('emergency')) show(text, 'vermillion')
    else say(text, 'vermillion')
  }

  function dismiss(id: number): void {
    notices.value = notices.value.filter((notice) => notice.id !== id)
  }

  /** Do something and say why if it is refused. Answers whether it was done. */
  async function attempt(work: () => Promise<unknown>): Promise<boolean> {
    try {
      await work()
      return true
    } catch (error) {
      say(explain(error), 'vermillion')
      return false
    }
  }

  return { notices, say, warn, dismiss, attempt }
})
