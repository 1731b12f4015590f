/** Puts the one live socket between the browser and the stores. */

import { watch } from 'vue'

import { API } from '@/api/client'
import { useLive } from '@/stores/live'
import { useSession } from '@/stores/session'

import { LiveSocket, type Wire, type World } from './socket'

function openWire(): Wire {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws'
  return new WebSocket(`${scheme}://${location.host}${API}/live`) as unknown as Wire
}

const browser: World = {
  open: openWire,
  later(work, ms) {
    const timer = setTimeout(work, ms)
    return () => clearTimeout(timer)
  },
  chance: Math.random,
}

/** Connect while somebody is signed in. Answers what the «reconnect now» button calls. */
export function startLive(): () => void {
  const live = useLive()
  const session = useSession()
  const socket = new LiveSocket(browser, {
    snapshot: live.takeSnapshot,
    ops: live.takeOps,
    phase: live.movePhase,
    refused: () => void session.restore(),
  })
  watch(
    () => session.principal?.id,
    (id) => {
      socket.stop()
      if (id !== undefined) socket.start()
    },
    { immediate: true },
  )
  const hurry = (): void => socket.hurry()
  addEventListener('online', hurry)
  document.addEventListener('visibilitychange', () => {
    if (document.visibilityState === 'visible') hurry()
  })
  return hurry
}
