/** Who is shown where in a meeting. Pure. */

import type { Layer, ParticipantView, RoomView, SourceView } from '@/api/rooms'

export type Arrangement = 'grid' | 'speaker'

/** One place on the page: a picture, or the name of somebody who shows none. */
export interface Tile {
  id: string
  person: ParticipantView
  source: SourceView | null
  isMine: boolean
}

/** At most so many at once; the rest is on further pages. */
export const PAGE = 9

const KIND_ORDER: Record<string, number> = { screen: 0 }

/** Another hub sends a picture when somebody looks, so those of other hubs are shown before they flow. */
const isSeen = (source: SourceView): boolean =>
  source.state === 'live' || (source.kind === 'tier' && source.state !== 'ended')

/** Everybody who is there, screens and pictures before names, oneself last of each. */
export function tilesOf(room: RoomView, me: string | null): Tile[] {
  const tiles: Tile[] = []
  for (const person of room.participants) {
    if (person.state !== 'joined') continue
    const isMine = person.id === me
    const live = room.sources.filter(
      (one) => one.participant_id === person.id && isSeen(one) && !one.muted,
    )
    for (const source of live) tiles.push({ id: source.id, person, source, isMine })
    if (live.length === 0) tiles.push({ id: person.id, person, source: null, isMine })
  }
  const rank = (tile: Tile): number =>
    (tile.source === null ? 4 : (KIND_ORDER[tile.source.kind] ?? 2)) + (tile.isMine ? 1 : 0)
  return tiles.sort((a, b) => rank(a) - rank(b))
}

/** Pixels. */
export interface Box {
  width: number
  height: number
}

/** The greatest width that lets so many 16:9 tiles, `gap` apart, into a box; a phone's page as well as a wall's. */
export function tileWidth(count: number, box: Box, gap: number): number {
  let best = 0
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.max(1, Math.ceil(count / columns))
    const across = (box.width - (columns - 1) * gap) / columns
    const down = ((box.height - (rows - 1) * gap) / rows) * (16 / 9)
    best = Math.max(best, Math.min(across, down))
  }
  return Math.floor(best)
}

/** A picture that fills half the page or more is worth the main stream. */
export function layerFor(count: number): Layer {
  return count <= 2 ? 'main' : 'sub'
}

/**
 * What is shown large: what this user pinned, else the spotlight, else a screen, else whoever speaks and is not oneself, also
 * without a picture. `speaker` is a participant, the others are tiles.
 */
export function stageOf(
  tiles: readonly Tile[],
  chosen: { pinned: string | null; spotlight: string | null; speaker: string | null },
): Tile | null {
  const at = (id: string | null): Tile | undefined =>
    id === null ? undefined : tiles.find((tile) => tile.id === id)
  const others = tiles.filter((tile) => !tile.isMine)
  return (
    at(chosen.pinned) ??
    at(chosen.spotlight) ??
    others.find((tile) => tile.source?.kind === 'screen') ??
    others.find((tile) => tile.person.id === chosen.speaker) ??
    others.find((tile) => tile.source !== null) ??
    tiles[0] ??
    null
  )
}
