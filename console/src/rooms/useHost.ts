/** What a host does to a room and to those in it; a refusal is said, and what changed comes back by itself. */

import { ask } from '@/api/client'
import type { ParticipantChange, ParticipantView, RoomChange } from '@/api/rooms'
import { i18n } from '@/i18n'
import { useMeeting } from '@/stores/meeting'
import { useNotices } from '@/stores/notices'

export interface HostDeeds {
  change: (change: RoomChange) => void
  person: (person: ParticipantView, change: ParticipantChange) => void
  admit: (person: ParticipantView) => void
  remove: (person: ParticipantView) => void
  ring: (person: ParticipantView) => void
  record: (on: boolean) => void
  end: () => void
}

/** `told` is called after each deed, for a guest who has no live socket. */
export function useHost(id: string, told: () => void): HostDeeds {
  const meeting = useMeeting()
  const notices = useNotices()
  const path = { id }

  function attempt(work: () => Promise<unknown>): void {
    void notices.attempt(work).then(told)
  }

  return {
    change: (body) =>
      attempt(() => ask(meeting.client.PATCH('/rooms/{id}', { params: { path }, body }))),
    person: (person, body) =>
      attempt(() =>
        ask(
          meeting.client.PATCH('/rooms/{id}/participants/{person}', {
            params: { path: { id, person: person.id } },
            body,
          }),
        ),
      ),
    admit: (person) =>
      attempt(() =>
        ask(
          meeting.client.POST('/rooms/{id}/participants/{person}/admit', {
            params: { path: { id, person: person.id } },
          }),
        ),
      ),
    remove: (person) =>
      attempt(() =>
        ask(
          meeting.client.DELETE('/rooms/{id}/participants/{person}', {
            params: { path: { id, person: person.id } },
          }),
        ),
      ),
    ring: (person) =>
      attempt(async () => {
        const to = person.account ?? person.endpoint ?? ''
        await ask(
          meeting.client.POST('/rooms/{id}/invitations', { params: { path }, body: { to } }),
        )
        notices.say(i18n.global.t('rooms.invite.sent', { name: person.name }))
      }),
    record: (on) =>
      attempt(() =>
        ask(meeting.client.POST('/rooms/{id}/recordings', { params: { path }, body: { on } })),
      ),
    end: () => attempt(() => ask(meeting.client.DELETE('/rooms/{id}', { params: { path } }))),
  }
}
