/** Whether an element can be seen: on the page, and the page itself not hidden. Gone for a moment is not gone. */

import { onBeforeUnmount, onMounted, ref, type Ref } from 'vue'

const LINGER_MS = 4000

export function useVisible(element: Readonly<Ref<HTMLElement | null>>): Ref<boolean> {
  const visible = ref(true)
  let isInside = true
  let timer: ReturnType<typeof setTimeout> | undefined
  let observer: IntersectionObserver | undefined

  function judge(): void {
    clearTimeout(timer)
    if (isInside && document.visibilityState !== 'hidden') visible.value = true
    else timer = setTimeout(() => (visible.value = false), LINGER_MS)
  }

  onMounted(() => {
    document.addEventListener('visibilitychange', judge)
    if (element.value === null || typeof IntersectionObserver === 'undefined') return
    observer = new IntersectionObserver((entries) => {
      isInside = entries.at(-1)?.isIntersecting ?? true
      judge()
    })
    observer.observe(element.value)
  })
  onBeforeUnmount(() => {
    clearTimeout(timer)
    observer?.disconnect()
    document.removeEventListener('visibilitychange', judge)
  })
  return visible
}
