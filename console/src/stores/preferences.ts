/** What this browser remembers for its user: language and theme. */

import { defineStore } from 'pinia'
import { ref, watchEffect } from 'vue'

import { i18n, LOCALES, type Locale } from '@/i18n'

export type Theme = 'dark' | 'light'

const KEY = 'commhub.preferences'

interface Stored {
  locale?: Locale
  theme?: Theme
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

  watchEffect(() => {
    i18n.global.locale.value = locale.value
    const root = document.documentElement
    root.lang = locale.value
    root.classList.toggle('dark', theme.value === 'dark')
    root.classList.toggle('light', theme.value === 'light')
    localStorage.setItem(KEY, JSON.stringify({ locale: locale.value, theme: theme.value }))
  })

  function toggleTheme(): void {
    theme.value = theme.value === 'dark' ? 'light' : 'dark'
  }

  function toggleLocale(): void {
    locale.value = locale.value === 'en' ? 'zh-CN' : 'en'
  }

  return { locale, theme, toggleTheme, toggleLocale }
})
