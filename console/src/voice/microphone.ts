/** The dispatcher's microphone, and why there may be none. */

export type Trouble = 'insecure' | 'denied' | 'missing' | 'busy'

/** There is no microphone, for a reason the console has words for. */
export class MicrophoneError extends Error {
  readonly trouble: Trouble

  constructor(trouble: Trouble) {
    super(trouble)
    this.trouble = trouble
  }
}

const TROUBLES: Record<string, Trouble> = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotFoundError: 'missing',
  OverconstrainedError: 'missing',
  NotReadableError: 'busy',
  AbortError: 'busy',
}

const WISHES: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
}

/** The microphone with the browser's echo cancellation. Throws MicrophoneError. */
export async function openMicrophone(): Promise<MediaStream> {
  // Over plain HTTP from another machine the browser has no such thing at all.
  const devices = navigator.mediaDevices as MediaDevices | undefined
  if (devices === undefined) throw new MicrophoneError('insecure')
  try {
    return await devices.getUserMedia({ audio: WISHES, video: false })
  } catch (error) {
    const name = error instanceof DOMException ? error.name : ''
    throw new MicrophoneError(TROUBLES[name] ?? 'missing')
  }
}

export function closeMicrophone(microphone: MediaStream | null): void {
  for (const track of microphone?.getTracks() ?? []) track.stop()
}
