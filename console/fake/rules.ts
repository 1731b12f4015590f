/** The rule file the rules page shows: the one the hub ships with. */

import { readFileSync } from 'node:fs'

const shipped = new URL('../../rules/sets/street-dispatch.yaml', import.meta.url)

export const RULES_YAML = readFileSync(shipped, 'utf8')
