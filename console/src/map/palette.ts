/** The map's colours, read from the theme's CSS variables, so that the map follows it. */

const NAMES = {
  sea: '--map-sea',
  land: '--map-land',
  block: '--map-block',
  building: '--map-building',
  buildingLine: '--map-building-line',
  green: '--map-green',
  water: '--map-water',
  road: '--map-road',
  roadMajor: '--map-road-major',
  roadCase: '--map-road-case',
  text: '--map-text',
  halo: '--map-text-halo',
  grid: '--map-grid',
  ink: '--ink',
  ink3: '--ink-3',
  panel: '--panel',
  raised: '--raised',
  accent: '--accent',
  sky: '--sky',
  greenTone: '--green',
  orange: '--orange',
  vermillion: '--vermillion',
  grey: '--grey',
  sos: '--sos-fill',
} as const

/** `scale` grows the marks and names with the page's text: a 4K wall is read from afar. */
export type Palette = Record<keyof typeof NAMES, string> & { font: string; scale: number }

const USUAL_FONT_PX = 16

export function readPalette(): Palette {
  const style = getComputedStyle(document.documentElement)
  const colours = Object.fromEntries(
    Object.entries(NAMES).map(([name, variable]) => [
      name,
      style.getPropertyValue(variable).trim(),
    ]),
  ) as Record<keyof typeof NAMES, string>
  const scale = parseFloat(style.fontSize) / USUAL_FONT_PX || 1
  return { ...colours, font: style.getPropertyValue('--font').trim(), scale }
}
