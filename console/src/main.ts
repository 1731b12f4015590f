import '@fontsource-variable/inter/wght.css'
import 'element-plus/dist/index.css'
import 'element-plus/theme-chalk/dark/css-vars.css'
import './styles/tokens.css'
import './styles/base.css'
import './styles/element.css'
import './styles/table.css'

import { createPinia } from 'pinia'
import { createApp } from 'vue'

import { api } from './api/client'
import App from './App.vue'
import { i18n } from './i18n'
import { makeRouter } from './router'
import { usePreferences } from './stores/preferences'
import { useSession } from './stores/session'

const app = createApp(App)
app.use(createPinia())
app.use(i18n)
usePreferences()

const session = useSession()
api.use({
  onResponse({ response, schemaPath }) {
    // A refused sign-in is an answer to its form; any other 401 means that the session is over.
    if (response.status === 401 && schemaPath !== '/accounts/session') session.end()
    return response
  },
})

app.use(makeRouter())
app.mount('#app')
