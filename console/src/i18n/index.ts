/** Two languages, bundled. `term` turns a word of the API into a word for people, or gives it back as it is. */

import { createI18n } from 'vue-i18n'

import enDesk from './en/desk'
import enPages from './en/pages'
import enRooms from './en/rooms'
import enTerms from './en/terms'
import enTiers from './en/tiers'
import enTimeline from './en/timeline'
import type { Messages } from './messages'
import zhDesk from './zh-CN/desk'
import zhPages from './zh-CN/pages'
import zhRooms from './zh-CN/rooms'
import zhTerms from './zh-CN/terms'
import zhTiers from './zh-CN/tiers'
import zhTimeline from './zh-CN/timeline'

export const LOCALES = ['zh-CN', 'en'] as const
export type Locale = (typeof LOCALES)[number]
export type Vocabulary = keyof Messages['terms']

const zh: Messages = {
  terms: zhTerms,
  timeline: zhTimeline,
  desk: zhDesk,
  pages: zhPages,
  rooms: zhRooms,
  tiers: zhTiers,
}
const en: Messages = {
  terms: enTerms,
  timeline: enTimeline,
  desk: enDesk,
  pages: enPages,
  rooms: enRooms,
  tiers: enTiers,
}

export function makeI18n(locale: Locale) {
  return createI18n<[Messages], Locale, false>({
    legacy: false,
    locale,
    fallbackLocale: 'en',
    messages: { 'zh-CN': zh, en },
  })
}

export const i18n = makeI18n('zh-CN')

/** Whether there is a word for this value. */
export function hasTerm(vocabulary: Vocabulary, value: string): boolean {
  return Object.hasOwn(i18n.global.getLocaleMessage('en').terms[vocabulary], value)
}

/** The word for people; a value we have no word for is shown as the hub said it. */
export function term(
  vocabulary: Vocabulary,
  value: string | number | null | undefined,
  params: Record<string, unknown> = {},
): string {
  if (value === null || value === undefined || value === '') return ''
  const name = String(value)
  // By object and not by dotted path: values such as `sos.ack` contain dots themselves.
  if (!hasTerm(vocabulary, name)) return name
  const locale = i18n.global.locale.value
  const words: Record<string, unknown> = i18n.global.getLocaleMessage(locale).terms[vocabulary]
  const word = String(words[name])
  return word.replace(/\{(\w+)\}/g, (_, key: string) => String(params[key] ?? ''))
}
