/** Cameras, microphones and screens of this browser: which there are, and why there may be none. */

import { MicrophoneError, type Trouble } from '@/voice/microphone'

export interface Choice {
  camera: string
  microphone: string
}

export interface Device {
  id: string
  label: string
}

export interface DeviceLists {
  cameras: Device[]
  microphones: Device[]
}

/** What was opened, and why the rest was not. */
export interface Opened {
  audio: MediaStreamTrack | null
  video: MediaStreamTrack | null
  noAudio: Trouble | null
  noVideo: Trouble | null
}

const TROUBLES: Record<string, Trouble> = {
  NotAllowedError: 'denied',
  SecurityError: 'denied',
  NotReadableError: 'busy',
  AbortError: 'busy',
}

const PICTURE: MediaTrackConstraints = {
  width: { ideal: 1920 },
  height: { ideal: 1080 },
  frameRate: { ideal: 30, max: 30 },
}
const SOUND: MediaTrackConstraints = {
  echoCancellation: true,
  noiseSuppression: true,
  autoGainControl: true,
  channelCount: 1,
}

function media(): MediaDevices {
  // Over plain HTTP from another machine the browser has no such thing at all.
  const devices = navigator.mediaDevices as MediaDevices | undefined
  if (devices === undefined) throw new MicrophoneError('insecure')
  return devices
}

/** Why there is none, in one word. */
export function troubleOf(error: unknown): Trouble {
  if (error instanceof MicrophoneError) return error.trouble
  return (error instanceof DOMException ? TROUBLES[error.name] : undefined) ?? 'missing'
}

function only(wish: MediaTrackConstraints, id: string): MediaTrackConstraints {
  return id === '' ? wish : { ...wish, deviceId: { exact: id } }
}

/** The camera of this id, or any. Throws what `troubleOf` reads. */
export async function openCamera(id = ''): Promise<MediaStreamTrack> {
  const stream = await media().getUserMedia({ video: only(PICTURE, id) })
  const [track] = stream.getVideoTracks()
  if (track === undefined) throw new MicrophoneError('missing')
  track.contentHint = 'motion'
  return track
}

/** The microphone of this id, or any. Throws what `troubleOf` reads. */
export async function openSound(id = ''): Promise<MediaStreamTrack> {
  const stream = await media().getUserMedia({ audio: only(SOUND, id) })
  const [track] = stream.getAudioTracks()
  if (track === undefined) throw new MicrophoneError('missing')
  return track
}

/** A screen or a window; null when nobody chose one. */
export async function openScreen(): Promise<MediaStreamTrack | null> {
  try {
    const stream = await media().getDisplayMedia({ video: { frameRate: { max: 15 } } })
    const track = stream.getVideoTracks()[0] ?? null
    if (track !== null) track.contentHint = 'detail'
    return track
  } catch (error) {
    if (error instanceof DOMException && error.name === 'NotAllowedError') return null
    throw error
  }
}

/** Both, each for itself: who has no camera still speaks. */
export async function openBoth(
  choice: Choice,
  wants: { audio: boolean; video: boolean },
): Promise<Opened> {
  const opened: Opened = { audio: null, video: null, noAudio: null, noVideo: null }
  const [audio, video] = await Promise.allSettled([
    wants.audio ? openSound(choice.microphone) : Promise.resolve(null),
    wants.video ? openCamera(choice.camera) : Promise.resolve(null),
  ])
  if (audio.status === 'fulfilled') opened.audio = audio.value
  else opened.noAudio = troubleOf(audio.reason)
  if (video.status === 'fulfilled') opened.video = video.value
  else opened.noVideo = troubleOf(video.reason)
  return opened
}

/** All there are; names only after one was opened. */
export async function listDevices(): Promise<DeviceLists> {
  const all = await media().enumerateDevices()
  const of = (kind: MediaDeviceKind): Device[] =>
    all
      .filter((one) => one.kind === kind && one.deviceId !== '')
      .map((one) => ({ id: one.deviceId, label: one.label }))
  return { cameras: of('videoinput'), microphones: of('audioinput') }
}
