/** The categories a dispatcher can choose; the rules know them all, and whatever else a source may send. */

export const CATEGORIES = [
  'fire',
  'gas',
  'medical',
  'flood',
  'fight',
  'noise',
  'parking',
  'waste',
  'facility',
  'other',
] as const

export const LEVELS = [1, 2, 3, 4] as const
