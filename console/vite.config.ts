import { fileURLToPath } from 'node:url'

import vue from '@vitejs/plugin-vue'
import { defineConfig } from 'vitest/config'

import { fakeHub } from './fake/plugin.ts'

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url))
// `COMMHUB_URL=http://localhost:8080 npm start` develops against a real hub instead of the fake one.
const hub = process.env.COMMHUB_URL

export default defineConfig({
  plugins: [vue(), ...(hub ? [] : [fakeHub()])],
  resolve: { alias: { '@': here('./src') } },
  server: {
    port: 5173,
    proxy: hub ? { '/api': { target: hub, ws: true } } : undefined,
  },
  build: {
    outDir: here('../commhub/web/static'),
    emptyOutDir: true,
    target: 'es2022',
    chunkSizeWarningLimit: 900,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            { name: 'map', test: /node_modules\/(ol|rbush|quickselect|earcut)/ },
            {
              name: 'elements',
              test: /node_modules\/(element-plus|@element-plus|@floating-ui|lodash)/,
            },
            { name: 'vue', test: /node_modules\/(@vue|vue|vue-router|vue-i18n|@intlify|pinia)\// },
          ],
        },
      },
    },
  },
  test: {
    environment: 'happy-dom',
    include: ['tests/**/*.test.ts'],
  },
})
