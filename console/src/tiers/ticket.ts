/** What a pairing ticket says of the hub that made it, so that whoever shows it sees to whom. Pure. */

const PREFIX = 'commhub-tier:'

/** Null for anything that is no ticket. Its secret stays where it is. */
export function readTicket(text: string): { hub: string; url: string } | null {
  const packed = text.replaceAll(/\s+/g, '')
  if (!packed.startsWith(PREFIX)) return null
  try {
    const base64 = packed.slice(PREFIX.length).replaceAll('-', '+').replaceAll('_', '/')
    const bytes = Uint8Array.from(atob(base64), (sign) => sign.codePointAt(0) ?? 0)
    const said: unknown = JSON.parse(new TextDecoder().decode(bytes))
    if (typeof said !== 'object' || said === null) return null
    const { hub, url } = said as Record<string, unknown>
    return typeof hub === 'string' && typeof url === 'string' ? { hub, url } : null
  } catch {
    return null
  }
}
