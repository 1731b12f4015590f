/** Links to neighbouring hubs in sentences of the page's language. */

import { useI18n } from 'vue-i18n'

import type { PeeringView } from '@/api/tiers'
import { moment } from '@/live/durations'
import { useNow } from '@/live/time'

import { sinceOf, spanOf, standOf } from './links'

interface LinkWords {
  state: (peering: PeeringView) => string
  span: (seconds: number) => string
  downFor: (peering: PeeringView) => string
  sentence: (peering: PeeringView) => string
}

export function useLinkWords(): LinkWords {
  const { t, locale } = useI18n()
  const now = useNow()

  function span(seconds: number): string {
    const { unit, n } = spanOf(seconds)
    return t(`tiers.span.${unit}`, { n })
  }

  const downFor = (peering: PeeringView): string =>
    span((now.value - Date.parse(sinceOf(peering))) / 1000)

  /** One or two words, for a mark. */
  function state(peering: PeeringView): string {
    const stand = standOf(peering)
    const skew = span(Math.abs(peering.skew_s ?? 0))
    return t(`tiers.link.${stand}`, { span: downFor(peering), n: peering.waiting, skew })
  }

  /** All there is to say of it. */
  function sentence(peering: PeeringView): string {
    const since = moment(sinceOf(peering), locale.value, now.value)
    if (standOf(peering) === 'never') return peering.reason ?? ''
    const parts = [
      t(peering.up ? 'tiers.link.upSince' : 'tiers.link.downSince', { since }),
      peering.waiting > 0 ? t('tiers.link.waiting', { n: peering.waiting }) : '',
      peering.up ? '' : (peering.reason ?? ''),
    ]
    return parts.filter(Boolean).join(' · ')
  }

  return { state, span, downFor, sentence }
}
