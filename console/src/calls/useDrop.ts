/** A place that people and legs can be dropped on. */

import { ref, type Ref } from 'vue'

import { dropped, isOurs, type Dragged } from './drag'

export interface DropZone {
  over: Ref<boolean>
  on: Record<'dragenter' | 'dragover' | 'dragleave' | 'drop', (event: DragEvent) => void>
}

export function useDrop(take: (dragged: Dragged) => void): DropZone {
  const over = ref(false)
  // Entering a child leaves the parent: only the balance says whether one is still inside.
  let depth = 0
  return {
    over,
    on: {
      dragenter(event) {
        if (!isOurs(event)) return
        depth += 1
        over.value = true
      },
      dragover(event) {
        if (isOurs(event)) event.preventDefault()
      },
      dragleave(event) {
        if (!isOurs(event)) return
        depth = Math.max(0, depth - 1)
        over.value = depth > 0
      },
      drop(event) {
        depth = 0
        over.value = false
        const dragged = dropped(event)
        if (dragged === null) return
        event.preventDefault()
        event.stopPropagation()
        take(dragged)
      },
    },
  }
}
