/** What this browser remembers for its user: language, theme, and by what this desk talks. */

import { defineStore } from 'pinia'
import { ref, watchEffect } from 'vue'

import { i18n, LOCALES, type Locale } from '@/i18n'

export type Theme = 'dark' | 'light'

const KEY = 'commhub.preferences'

interface Stored {
  locale?: Locale
  theme?: Theme
  deskPhone?: string | null
}

function stored(): Stored {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '{}') as Stored
  } catch {
    return {}
  }
}

export const usePreferences = defineStore('preferences', () => {
  const before = stored()
  const locale = ref<Locale>(
    before.locale !== undefined && LOCALES.includes(before.locale) ? before.locale : 'zh-CN',
  )
  const theme = ref<Theme>(before.theme === 'light' ? 'light' : 'dark')

  /** The phone beside this desk, `sip:1001`; null: the browser's headset. */
  const deskPhone = ref<string | null>(before.deskPhone ?? null)

  watchEffect(() => {
    i18n.global.locale.value = locale.value
    const root = document.documentElement
    root.lang = locale.value
    root.classList.toggle('dark', theme.value === 'dark')
    root.classList.toggle('light', theme.value === 'light')
    const kept = { locale: locale.value, theme: theme.value, deskPhone: deskPhone.value }
    localStorage.setItem(KEY, JSON.stringify(kept))
  })

  function toggleTheme(): void {
    theme.value = theme.value === 'dark' ? 'light' : 'dark'
  }

  function toggleLocale(): void {
    locale.value = locale.value === 'en' ? 'zh-CN' : 'en'
  }

  return { locale, theme, deskPhone, toggleTheme, toggleLocale }
})
