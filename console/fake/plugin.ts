/** `npm start`: the fake hub inside the development server. */

import type { Plugin } from 'vite'

export function fakeHub(): Plugin {
  return {
    name: 'fake-hub',
    apply: 'serve',
    async configureServer(server) {
      if (process.env.VITEST) return
      // Loaded here and not above: a build has no use for it, nor for the rule file that it reads.
      const { FakeServer } = await import('./serve.ts')
      const fake = new FakeServer()
      if (server.httpServer) fake.attach(server.httpServer)
      server.middlewares.use((request, response, next) => {
        fake.handle(request, response).then(
          (handled) => {
            if (!handled) next()
          },
          (error: unknown) => next(error),
        )
      })
    },
  }
}
