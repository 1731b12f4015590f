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

/** Everybody who is there, screens and pictures before names, oneself last of each. */
export function tilesOf(room: RoomView, me: string | null): Tile[] {
  const tiles: Tile[] = []
  for (const person of room.participants) {
    if (person.state !== 'joined') continue
    const isMine = person.id === me
    const live = room.sources.filter(
      (one) => one.participant_id === person.id && one.state === 'live' && !one.muted,
    )
    for (const source of live) tiles.push({ id: source.id, person, source, isMine })
    if (live.length === 0) tiles.push({ id: person.id, person, source: null, isMine })
  }
  const rank = (tile: Tile): number =>
    (tile.source === null ? 4 : (KIND_ORDER[tile.source.kind] ?? 2)) + (tile.isMine ? 1 : 0)
  return tiles.sort((a, b) => rank(a) - rank(b))
}

/** Columns of a grid of so many 16:9 tiles in a box of this shape (width / height). */
export function columnsFor(count: number, shape: number): number {
  let best = 1
  let most = 0
  for (let columns = 1; columns <= Math.max(1, count); columns += 1) {
    const rows = Math.ceil(count / columns)
    const width = Math.min(1 / columns, 16 / 9 / (rows * shape))
    if (width > most + 1e-9) [best, most] = [columns, width]
  }
  return best
}

/** A picture that fills half the page or more is worth the main stream. */
export function layerFor(count: number): Layer {
  return count <= 2 ? 'main' : 'sub'
}

/** What is shown large: what this user pinned, else a screen, else the spotlight, else whoever speaks. */
export function stageOf(
  tiles: readonly Tile[],
  chosen: { pinned: string | null; spotlight: string | null; speaker: string | null },
): Tile | null {
  const at = (id: string | null): Tile | undefined =>
    id === null ? undefined : tiles.find((tile) => tile.id === id)
  return (
    at(chosen.pinned) ??
    at(chosen.spotlight) ??
    tiles.find((tile) => tile.source?.kind === 'screen' && !tile.isMine) ??
    at(chosen.speaker) ??
    tiles.find((tile) => tile.source !== null && !tile.isMine) ??
    tiles[0] ??
    null
  )
}
