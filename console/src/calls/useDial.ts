/** How this desk talks: by the headset of this browser or by the phone beside it, whatever it dials or answers. */

import type { CallView, DutyCallView, LegView } from '@/api/types'
import { useBench } from '@/stores/bench'
import { useDirectory } from '@/stores/directory'
import { useDuty } from '@/stores/duty'
import { useLive } from '@/stores/live'
import { useNotices } from '@/stores/notices'
import { usePreferences } from '@/stores/preferences'
import { useVoice } from '@/voice/useVoice'

const HEADSET = 'desk:me'
const CALLABLE = /^(sip|tel|radio|desk):\S+$/

/** Whether a voice can reach the address at all. */
export const canDial = (endpoint: string): boolean => CALLABLE.test(endpoint)

interface Dial {
  dial: (endpoint: string, incident?: string) => Promise<void>
  answer: (caller: DutyCallView) => Promise<void>
  callBack: (caller: DutyCallView) => Promise<void>
  endpointOf: (typed: string) => string | null
}

export function useDial(): Dial {
  const bench = useBench()
  const directory = useDirectory()
  const duty = useDuty()
  const live = useLive()
  const notices = useNotices()
  const preferences = usePreferences()
  const voice = useVoice()

  /** The leg of this desk's headset in a call that was placed with one. */
  function mine(call: CallView): LegView {
    const leg = call.legs.find((one) => one.endpoint === voice.endpoint)
    if (leg === undefined) throw new Error('the call has no leg of this desk')
    bench.currentId = call.id
    return leg
  }

  async function talk(begin: (own: string) => Promise<LegView | CallView>): Promise<void> {
    const phone = preferences.deskPhone
    if (phone !== null) {
      await notices.attempt(() => begin(phone))
      return
    }
    await voice.talkOn(async () => {
      const begun = await begin(HEADSET)
      return 'legs' in begun ? mine(begun) : begun
    })
  }

  async function dial(endpoint: string, incident?: string): Promise<void> {
    const title = directory.partyName(endpoint)
    await talk((own) => bench.place({ legs: [own, endpoint], incident, title }))
  }

  const answer = (caller: DutyCallView): Promise<void> => talk((own) => duty.answer(caller.id, own))

  const callBack = (caller: DutyCallView): Promise<void> =>
    talk((own) => duty.callBack(caller.id, own))

  /** What somebody means who types `1001`, `13800000005` or a whole address; null: nothing that can be called. */
  function endpointOf(typed: string): string | null {
    const text = typed.trim()
    if (canDial(text)) return text
    const number = text.replaceAll(/[\s().-]/g, '')
    // Before the first snapshot nobody knows which numbers are our own phones, and a wrong guess dials outside.
    if (!/^\+?\d{3,20}$/.test(number) || !live.ready) return null
    return number in live.state.phones ? `sip:${number}` : `tel:${number}`
  }

  return { dial, answer, callBack, endpointOf }
}
