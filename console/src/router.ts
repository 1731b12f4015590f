/** The screens and their addresses. */

import { createRouter, createWebHistory, type Router } from 'vue-router'

import { useSession } from './stores/session'

export function makeRouter(): Router {
  const router = createRouter({
    history: createWebHistory(),
    routes: [
      { path: '/', redirect: '/desk' },
      {
        path: '/login',
        name: 'login',
        component: () => import('./screens/login/LoginScreen.vue'),
        meta: { open: true },
      },
      { path: '/desk', name: 'desk', component: () => import('./screens/desk/DeskScreen.vue') },
      {
        path: '/incidents/:id',
        name: 'incident',
        component: () => import('./screens/incident/IncidentScreen.vue'),
        props: true,
      },
      {
        path: '/devices/:id?',
        name: 'devices',
        component: () => import('./screens/devices/DevicesScreen.vue'),
        props: true,
      },
      {
        path: '/rooms',
        name: 'rooms',
        component: () => import('./screens/rooms/RoomsScreen.vue'),
      },
      {
        path: '/rooms/:id',
        name: 'room',
        component: () => import('./screens/rooms/RoomScreen.vue'),
        props: true,
      },
      {
        path: '/meet/:id',
        alias: '/join/:id',
        name: 'guest',
        component: () => import('./screens/rooms/GuestScreen.vue'),
        props: true,
        meta: { open: true },
      },
      {
        path: '/tiers/:peer?',
        name: 'tiers',
        component: () => import('./screens/tiers/TiersScreen.vue'),
        props: true,
      },
      { path: '/wall', name: 'wall', component: () => import('./screens/wall/WallScreen.vue') },
      { path: '/rules', name: 'rules', component: () => import('./screens/rules/RulesScreen.vue') },
      {
        path: '/:rest(.*)*',
        name: 'missing',
        component: () => import('./screens/MissingScreen.vue'),
        meta: { open: true },
      },
    ],
  })
  router.beforeEach(async (to) => {
    const session = useSession()
    if (!session.restored) await session.restore()
    if (to.meta.open || session.principal) return true
    return { name: 'login', query: { next: to.fullPath } }
  })
  return router
}
