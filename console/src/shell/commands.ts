/** What the command palette offers: places, switches, open incidents, people. */

import { computed, type ComputedRef, type Ref } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRouter } from 'vue-router'

import { useDial } from '@/calls/useDial'
import type { IconName } from '@/components/icons'
import { term } from '@/i18n'
import { useBench } from '@/stores/bench'
import { useDirectory } from '@/stores/directory'
import { useIncidents } from '@/stores/incidents'
import { useNotices } from '@/stores/notices'
import { usePreferences } from '@/stores/preferences'
import { useSelection } from '@/stores/selection'
import { useSession } from '@/stores/session'
import { useUi } from '@/stores/ui'

export interface Command {
  id: string
  label: string
  more: string
  icon: IconName
  run: () => void
}

/** `typed` may be a number to dial. */
export function useCommands(typed: Ref<string>): ComputedRef<Command[]> {
  const { t } = useI18n()
  const router = useRouter()
  const bench = useBench()
  const directory = useDirectory()
  const incidents = useIncidents()
  const notices = useNotices()
  const preferences = usePreferences()
  const selection = useSelection()
  const session = useSession()
  const ui = useUi()

  const { dial, endpointOf } = useDial()

  const go = (name: string) => (): void => void router.push({ name })

  const places = computed<Command[]>(() => [
    { id: 'desk', label: t('desk.palette.goDesk'), more: '', icon: 'desk', run: go('desk') },
    {
      id: 'devices',
      label: t('desk.palette.goDevices'),
      more: '',
      icon: 'device',
      run: go('devices'),
    },
    { id: 'rooms', label: t('rooms.nav.rooms'), more: '', icon: 'room', run: go('rooms') },
    { id: 'wall', label: t('rooms.nav.wall'), more: '', icon: 'grid', run: go('wall') },
    { id: 'rules', label: t('desk.palette.goRules'), more: '', icon: 'scale', run: go('rules') },
    {
      id: 'theme',
      label: t(`desk.palette.${preferences.theme === 'dark' ? 'lightTheme' : 'darkTheme'}`),
      more: '',
      icon: preferences.theme === 'dark' ? 'sun' : 'moon',
      run: () => preferences.toggleTheme(),
    },
    {
      id: 'language',
      label: t(`desk.palette.${preferences.locale === 'en' ? 'chinese' : 'english'}`),
      more: '',
      icon: 'language',
      run: () => preferences.toggleLocale(),
    },
  ])

  const deeds = computed<Command[]>(() => {
    if (!session.dispatches) return []
    const deeds: Command[] = [
      {
        id: 'report',
        label: t('desk.palette.newReport'),
        more: 'N',
        icon: 'plus',
        run: () => {
          ui.report = true
        },
      },
    ]
    if (selection.count > 0) {
      deeds.unshift({
        id: 'call',
        label: t('desk.palette.callSelection', { count: selection.count }),
        more: 'G',
        icon: 'phone',
        run: () =>
          void notices.attempt(async () => {
            await bench.place({
              legs: selection.picked,
              incident: selection.incidentId ?? undefined,
            })
            selection.clear()
          }),
      })
    }
    return deeds
  })

  const numbers = computed<Command[]>(() => {
    const endpoint = session.dispatches ? endpointOf(typed.value) : null
    if (endpoint === null) return []
    const name = directory.partyName(endpoint)
    return [
      {
        id: `dial ${endpoint}`,
        // What was typed is in it, so that the search finds it.
        label: t('desk.duty.number', { number: typed.value.trim() }),
        more: name === typed.value.trim() ? '' : name,
        icon: 'phone',
        run: () => void dial(endpoint),
      },
    ]
  })

  const open = computed<Command[]>(() =>
    incidents.byNumber.map((incident) => ({
      id: `incident ${incident.id}`,
      label: `${incident.number} ${incident.title}`,
      more: term('stage', incident.stage),
      icon: 'file',
      run: () => {
        selection.incidentId = incident.id
        void router.push({ name: 'desk' })
      },
    })),
  )

  const people = computed<Command[]>(() =>
    directory.responders.map((responder) => ({
      id: `responder ${responder.id}`,
      label: responder.name,
      more: directory.unitName(responder.unit_id),
      icon: 'person',
      run: () => {
        const voice = directory.voiceOf(responder) ?? responder.endpoints[0]
        if (voice !== undefined) selection.add([voice])
      },
    })),
  )

  return computed(() => [
    ...numbers.value,
    ...deeds.value,
    ...places.value,
    ...open.value,
    ...people.value,
  ])
}
