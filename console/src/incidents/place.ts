/** Where an incident is, in one line: the place as told, else the position. */

import type { IncidentView } from '@/api/types'

export function placeOf(incident: Pick<IncidentView, 'place' | 'point' | 'grid'>): string {
  const { place, point, grid } = incident
  const position = point === null ? '' : `${point.lat.toFixed(5)}, ${point.lon.toFixed(5)}`
  return [place ?? position, grid?.toUpperCase()].filter(Boolean).join(' · ')
}
