/** Scenes of meetings, the wall and cameras, for `screenshots.ts`. */

import type { Page } from 'playwright-core'

export const PORT = 4199
export const HUB = `http://127.0.0.1:${PORT}`

export async function signIn(page: Page): Promise<void> {
  await page.goto(`${HUB}/login`)
  await page.locator('input[name=username]').fill('chen')
  await page.locator('input[name=password]').fill('demo')
  await page.locator('button[type=submit]').click()
  await page.waitForURL('**/desk')
  await page.locator('.row').first().waitFor()
}

/** All pictures that are asked for on this page move. */
export async function pictures(page: Page, count: number): Promise<void> {
  await page
    .locator('.picture[data-phase=live]')
    .nth(count - 1)
    .waitFor()
}

export async function rooms(page: Page): Promise<void> {
  await signIn(page)
  await page.goto(`${HUB}/rooms`)
  await page.locator('.room').first().waitFor()
}

export async function join(page: Page): Promise<void> {
  await rooms(page)
  await page.locator('.room').first().click()
  await page.locator('.join .enter:not([disabled])').waitFor()
}

export async function meeting(page: Page): Promise<void> {
  await join(page)
  await page.locator('.join .enter').click()
  await pictures(page, 4)
}

/** More people than one page shows, and callers at the duty number above them. */
export async function crowd(page: Page): Promise<void> {
  await meeting(page)
  const id = new URL(page.url()).pathname.split('/').pop() ?? ''
  for (let n = 1; n <= 8; n += 1) {
    const data = { to: `sip:11${n}0`, name: `值班员 ${n}` }
    await page.request.post(`${HUB}/api/v1/rooms/${id}/invitations`, { data })
  }
  await page.request.get(`${HUB}/fake/duty`)
  await page.locator('.duty .answer').nth(1).waitFor()
  await page.locator('.stage .pages').waitFor()
  await page.waitForTimeout(800)
}

/** The speaker is sent to the city's video platform, and its MCU is rung. */
export async function platforms(page: Page): Promise<void> {
  await meeting(page)
  await page.locator('.invite-key').click()
  for (const name of ['city-video', 'city-mcu']) {
    const row = page.locator(`[data-platform=${name}]`)
    if (await row.locator('.send').isVisible()) await row.locator('.send').click()
    await row.locator('.tone-green').waitFor()
  }
}

/** A body camera of the district is looked at over the map, asked for in the address book. */
export async function remoteCamera(page: Page): Promise<void> {
  await signIn(page)
  await page.request.get(`${HUB}/fake/mend`)
  await page.locator('.panel .search input').last().fill('排涝')
  await page.locator('.row', { hasText: '排涝泵车记录仪' }).hover()
  await page.locator('.row', { hasText: '排涝泵车记录仪' }).locator('.look').click()
  await pictures(page, 1)
  await page.waitForTimeout(500)
}

/** Whoever speaks is large: a telephone without a picture. */
export async function speaker(page: Page): Promise<void> {
  await meeting(page)
  await page.keyboard.press('v')
  await page.locator('.stage.large .big', { hasText: '王强' }).waitFor({ timeout: 40_000 })
}

/** Somebody is in a meeting and looks at the desk. */
export async function strip(page: Page): Promise<void> {
  await meeting(page)
  await page.locator('nav a[href="/desk"]').click()
  await page.locator('.row').first().waitFor()
  await page.waitForTimeout(800)
}

export async function wall(page: Page): Promise<void> {
  await signIn(page)
  await page.goto(`${HUB}/wall`)
  await page.locator('.layouts').click()
  await page.locator('.el-select-dropdown__item:visible').first().click()
  await pictures(page, 8)
  await page.locator('[data-tile]').nth(1).hover()
  await page.locator('[data-tile] .listen').nth(1).click()
}

export async function mapPane(page: Page): Promise<void> {
  await signIn(page)
  await page.locator('.map .cameras').click()
  await page.locator('.el-dropdown-menu__item:visible', { hasText: '执法记录仪 7' }).click()
  await pictures(page, 1)
  await page.waitForTimeout(500)
}

export async function guest(page: Page): Promise<void> {
  await signIn(page)
  const answer = await page.request.get(`${HUB}/api/v1/rooms`)
  const { items } = (await answer.json()) as { items: { id: string; mode: string }[] }
  const room = items.find((one) => one.mode === 'meeting')?.id ?? ''
  const invited = await page.request.post(`${HUB}/api/v1/rooms/${room}/invitations`, {
    data: { name: '来宾' },
  })
  await page.goto(((await invited.json()) as { link: string }).link)
  await page.locator('.join .enter:not([disabled])').waitFor()
}
