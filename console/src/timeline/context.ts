/** The words and names that sentences are made with, from the stores and the language of the page. */

import { computed, type ComputedRef } from 'vue'
import { useI18n } from 'vue-i18n'

import { term, type Vocabulary } from '@/i18n'
import { clockFace, moment } from '@/live/durations'
import { hubNow } from '@/live/time'
import { useDirectory } from '@/stores/directory'
import { useIncidents } from '@/stores/incidents'
import { useSession } from '@/stores/session'
import { useTiers } from '@/stores/tiers'

import type { Words } from './names'
import type { Context } from './sentence'

/** Words in the language of the page, for code outside templates. */
export function useWords(): ComputedRef<Words> {
  const { t, locale } = useI18n()
  return computed<Words>(() => {
    const language = locale.value
    return {
      t: (key, params = {}) => t(key, params),
      term: (vocabulary, value, params) => term(vocabulary as Vocabulary, value, params),
      moment: (at) => moment(at, language, hubNow()),
      span: clockFace,
      list: (items) =>
        language === 'en' ? new Intl.ListFormat('en').format(items) : items.join('、'),
    }
  })
}

export function useSentenceContext(): ComputedRef<Context> {
  const { locale } = useI18n()
  const words = useWords()
  const directory = useDirectory()
  const incidents = useIncidents()
  const session = useSession()
  const tiers = useTiers()
  return computed<Context>(() => ({
    locale: locale.value,
    words: words.value,
    names: {
      responder: directory.responderName,
      endpoint: directory.partyName,
      device: directory.deviceName,
      hub: tiers.nameOf,
      incident: (id) => incidents.find(id)?.number ?? id,
      me: { actor: session.actor, name: session.principal?.display_name || session.actor },
    },
  }))
}
