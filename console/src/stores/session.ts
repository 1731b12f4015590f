/** Who sits at this desk. */

import { defineStore } from 'pinia'
import { computed, ref } from 'vue'

import { api, ApiError, ask } from '@/api/client'
import type { PrincipalView, Role } from '@/api/types'

const DESK_ROLES: readonly Role[] = ['dispatcher', 'duty_leader', 'commander']

export const useSession = defineStore('session', () => {
  const principal = ref<PrincipalView | null>(null)
  const restored = ref(false)
  const expired = ref(false)

  const roles = computed<Role[]>(() => principal.value?.roles ?? [])
  /** May place calls, send messages and act: the same for all three roles of the desk. */
  const dispatches = computed(() => roles.value.some((role) => DESK_ROLES.includes(role)))
  const has = (...wanted: Role[]): boolean => roles.value.some((role) => wanted.includes(role))
  /** Who leads a shift or commands may supervise; who answers for security pairs hubs. */
  const leads = computed(() => has('duty_leader', 'commander'))
  const managesTiers = computed(() => has('security_admin'))
  const managesDirectory = computed(() => has('duty_leader', 'system_admin'))
  const actor = computed(() =>
    principal.value === null ? '' : `${principal.value.kind}:${principal.value.name}`,
  )

  /** Ask the hub whether the cookie is still good. A hub that is not there is not a sign-out. */
  async function restore(): Promise<void> {
    try {
      principal.value = await ask(api.GET('/accounts/session'))
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) end()
    } finally {
      restored.value = true
    }
  }

  async function signIn(name: string, password: string): Promise<void> {
    principal.value = await ask(api.POST('/accounts/session', { body: { name, password } }))
    expired.value = false
  }

  async function signOut(): Promise<void> {
    await ask(api.DELETE('/accounts/session'))
    principal.value = null
  }

  /** The hub does not know us any more. */
  function end(): void {
    expired.value = principal.value !== null
    principal.value = null
  }

  return {
    principal,
    restored,
    expired,
    roles,
    dispatches,
    leads,
    managesTiers,
    managesDirectory,
    actor,
    restore,
    signIn,
    signOut,
    end,
  }
})
