/** `npm run fake [PORT]`: the built console (of CONSOLE_STATIC, else where the build puts it) and the fake hub. */

import { createReadStream, existsSync, statSync } from 'node:fs'
import { createServer, type ServerResponse } from 'node:http'
import { extname, join, normalize } from 'node:path'
import { fileURLToPath } from 'node:url'

import { FakeServer } from './serve.ts'

const STATIC =
  process.env.CONSOLE_STATIC ?? fileURLToPath(new URL('../../commhub/web/static', import.meta.url))
const KINDS: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.json': 'application/json',
  '.svg': 'image/svg+xml',
  '.woff2': 'font/woff2',
}
// What the hub sends too: a console that needs more would fail there.
const POLICY =
  "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; media-src 'self' blob:; font-src 'self' data:; connect-src 'self'; object-src 'none'"

function serveFile(path: string, response: ServerResponse): void {
  const wanted = join(STATIC, normalize(path))
  const isFile = wanted.startsWith(STATIC) && existsSync(wanted) && statSync(wanted).isFile()
  const file = isFile ? wanted : join(STATIC, 'index.html')
  response.setHeader('Content-Type', KINDS[extname(file)] ?? 'application/octet-stream')
  response.setHeader('Content-Security-Policy', POLICY)
  createReadStream(file)
    .on('error', () => response.writeHead(404).end())
    .pipe(response)
}

const port = Number(process.argv[2] ?? 4173)
const fake = new FakeServer()
const server = createServer((request, response) => {
  fake.handle(request, response).then(
    (handled) => {
      if (!handled) serveFile(new URL(request.url ?? '/', 'http://fake').pathname, response)
    },
    (error: unknown) => {
      console.error(error)
      response.writeHead(500).end()
    },
  )
})
fake.attach(server)
server.listen(port, '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${port}/  (chen / demo)`)
})
