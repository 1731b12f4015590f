/** Who is who on a timeline: ids of the hub turned into names for people. */

export interface Names {
  responder(id: string): string
  endpoint(endpoint: string): string
  device(id: string): string
  incident(id: string): string
  /** A hub, our own or a neighbour. */
  hub(id: string): string
  /** Who sits at this desk. */
  me: { actor: string; name: string }
}

export interface Words {
  t(key: string, params?: Record<string, unknown>): string
  term(
    vocabulary: string,
    value: string | number | null | undefined,
    params?: Record<string, unknown>,
  ): string
  moment(at: string): string
  span(seconds: number): string
  list(items: readonly string[]): string
}

const PROGRAMS: Record<string, { zh: string; en: string }> = {
  rules: { zh: '规则引擎', en: 'Rules' },
  clock: { zh: '时限', en: 'Clock' },
  system: { zh: '系统', en: 'System' },
}

const ENDPOINT_KINDS: readonly string[] = ['radio', 'sip', 'cam', 'tel', 'wecom', 'room']

/** `user:li`, `responder:zhang`, `device:b7`, `rules` as people would say it. */
export function nameOfActor(actor: string, names: Names, locale: string): string {
  const program = PROGRAMS[actor]
  if (program) return locale === 'en' ? program.en : program.zh
  if (actor === names.me.actor) return names.me.name
  const [kind = '', ...rest] = actor.split(':')
  const name = rest.join(':')
  if (kind === 'responder') return names.responder(name)
  if (kind === 'hub') {
    // Perhaps with who it was there: `hub:street-a li`.
    const [hub = '', ...who] = name.split(' ')
    return [names.hub(hub), ...who].join(' ')
  }
  if (kind === 'device' || kind === 'sensor') return names.device(name)
  // Its name is the delivery's id, which means nothing to people.
  if (kind === 'alert') return locale === 'en' ? 'Card by telephone' : '电话派单'
  if (ENDPOINT_KINDS.includes(kind)) return names.endpoint(actor)
  return name || actor
}
