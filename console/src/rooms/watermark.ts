/**
 * Who looks, and when, tiled over a picture: a photograph of the screen says whose screen it was. It is an overlay of the page and
 * no part of the video: it deters, and does not stop somebody who rewrites the page or records the packets.
 */

const WIDTH = 260
const HEIGHT = 130

const escape = (text: string): string =>
  text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)

/** A tile as the URL of an image: light letters with a dark rim, seen on any picture. */
export function watermark(lines: readonly string[]): string {
  const rows = lines
    .map((line, i) => `<text x="16" y="${68 + i * 19}">${escape(line)}</text>`)
    .join('')
  const svg =
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${HEIGHT}">` +
    `<g transform="rotate(-20 ${WIDTH / 2} ${HEIGHT / 2})" font-family="sans-serif" font-size="15" ` +
    `fill="#fff" fill-opacity=".38" stroke="#000" stroke-opacity=".3" stroke-width=".7">${rows}</g></svg>`
  return `url("data:image/svg+xml,${encodeURIComponent(svg)}")`
}
