/** The keys of the desk. An action has a name; which key means it is data, so that it can be rebound. */

import { onBeforeUnmount, onMounted } from 'vue'

export type KeyAction =
  | 'search'
  | 'palette'
  | 'help'
  | 'group'
  | 'acknowledge'
  | 'hangUp'
  | 'next'
  | 'previous'
  | 'open'
  | 'newReport'
  | 'meetingSound'
  | 'meetingCamera'
  | 'meetingHand'
  | 'meetingLayout'
  | 'fullScreen'
  | 'close'

export const BINDINGS: Record<KeyAction, string> = {
  search: '/',
  palette: 'Ctrl+K',
  help: '?',
  group: 'G',
  acknowledge: 'A',
  hangUp: 'F4',
  next: 'J',
  previous: 'K',
  open: 'O',
  newReport: 'N',
  meetingSound: 'D',
  meetingCamera: 'E',
  meetingHand: 'H',
  meetingLayout: 'V',
  fullScreen: 'F',
  close: 'Esc',
}

// These work while one types, too.
const EVERYWHERE: readonly KeyAction[] = ['palette', 'hangUp', 'close']

/** `Ctrl+K`, `G`, `/`: the name of the key that was pressed. */
export function nameOfKey(
  event: Pick<KeyboardEvent, 'key' | 'ctrlKey' | 'metaKey' | 'altKey'>,
): string {
  const key =
    event.key === 'Escape' ? 'Esc' : event.key.length === 1 ? event.key.toUpperCase() : event.key
  const control = event.ctrlKey || event.metaKey ? 'Ctrl+' : ''
  return `${control}${event.altKey ? 'Alt+' : ''}${key}`
}

/** Whether the user is typing there. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false
  return target.isContentEditable || ['INPUT', 'TEXTAREA', 'SELECT'].includes(target.tagName)
}

/** The action a key press means here and now. */
export function actionOf(event: KeyboardEvent): KeyAction | undefined {
  const name = nameOfKey(event)
  const found = (Object.keys(BINDINGS) as KeyAction[]).find((action) => BINDINGS[action] === name)
  if (found === undefined) return undefined
  return isTyping(event.target) && !EVERYWHERE.includes(found) ? undefined : found
}

// A handler may answer nothing at all: only false says «not mine».
type Handler = () => unknown

/** Handle keys while the component is there. A handler that answers false lets the key pass. */
export function useKeys(handlers: Partial<Record<KeyAction, Handler>>): void {
  function press(event: KeyboardEvent): void {
    if (event.defaultPrevented) return
    const action = actionOf(event)
    const handler = action && handlers[action]
    if (handler && handler() !== false) event.preventDefault()
  }
  onMounted(() => addEventListener('keydown', press))
  onBeforeUnmount(() => removeEventListener('keydown', press))
}
