/** As `examples`, for the facts of rooms. */

/** `actor` is the system unless it matters. */
export interface Example {
  data: Record<string, unknown>
  actor?: string
  zh: string
  en: string
}

export const ROOM_EXAMPLES: Record<string, Example[]> = {
  room_opened: [
    {
      data: { name: '会商', number: '1234', mode: 'meeting' },
      actor: 'user:chen',
      zh: '陈晨 开启会议：会商',
      en: '陈晨 opened the meeting “会商”',
    },
  ],
  room_changed: [
    {
      data: { change: { locked: true, lobby: false, spotlight: 's' } },
      actor: 'user:chen',
      zh: '陈晨 调整会议：设置焦点画面, 锁定会议, 关闭等候室',
      en: 'a picture in the spotlight, locked, waiting room off',
    },
    { data: { change: { spotlight: null } }, zh: '画面跟随发言人', en: 'follows the speaker' },
  ],
  room_end_proposed: [
    { data: { name: '会商' }, zh: '“会商”是否结束会议', en: 'end the meeting “会商”?' },
  ],
  room_ended: [
    {
      data: { name: '会商', duration_s: 3725, attended: 4 },
      actor: 'user:chen',
      zh: '陈晨 结束会议“会商”',
      en: '陈晨 ended “会商”',
    },
  ],
  participant_moved: [
    {
      data: { participant: '老周', participant_kind: 'guest', state: 'joined' },
      zh: '老周 入会',
      en: '老周 joined',
    },
    {
      data: { participant: '老周', participant_kind: 'guest', state: 'waiting' },
      zh: '老周 在等候室等待入会',
      en: '老周 is in the waiting room',
    },
    {
      data: { participant: '老周', state: 'removed', why: 'denied' },
      actor: 'user:chen',
      zh: '陈晨 未允许 老周 入会',
      en: '陈晨 did not let 老周 in',
    },
    {
      data: { participant: '老周', state: 'removed', why: 'removed' },
      actor: 'user:chen',
      zh: '陈晨 将 老周 移出会议',
      en: '陈晨 removed 老周',
    },
  ],
  participant_changed: [
    {
      data: { participant: '老周', change: { sound_muted: true, role: 'viewer' } },
      actor: 'user:chen',
      zh: '陈晨 对 老周：设为观看者, 静音',
      en: '陈晨 on 老周: made viewer, muted',
    },
  ],
  invitation_revoked: [
    {
      data: { participant: '老周' },
      actor: 'user:chen',
      zh: '陈晨 撤销 老周 的邀请链接',
      en: '陈晨 revoked the link of 老周',
    },
  ],
  source_moved: [
    {
      data: { label: '执法仪7', source_kind: 'bodycam', state: 'live' },
      zh: '画面接入：执法仪7（执法记录仪）',
      en: 'The picture of 执法仪7 (body camera) is there',
    },
    {
      data: { label: '老周', source_kind: 'screen', state: 'live', why: 'muted' },
      actor: 'user:chen',
      zh: '陈晨 关闭画面：老周（屏幕共享）',
      en: '陈晨 hid the picture of 老周 (screen)',
    },
  ],
  speaker_moved: [{ data: { source_id: 's' }, zh: '发言人切换', en: 'Somebody else speaks' }],
  roll_call_started: [
    {
      data: { n: 2, expected: 6 },
      actor: 'user:chen',
      zh: '陈晨 发起第 2 次点调，应到 6 方',
      en: '陈晨 called roll 2, 6 expected',
    },
  ],
  roll_call_done: [
    {
      data: { n: 2, expected: 6, present: 5, absent: ['老周'], slowest_ms: 41.2 },
      zh: '第 2 次点调：应到 6 方，在位 5 方',
      en: 'Roll 2: 5 of 6 present',
    },
  ],
  minutes_written: [
    {
      data: { name: '会商', version: 3 },
      actor: 'user:chen',
      zh: '陈晨 撰写会议纪要，第 3 版',
      en: '陈晨 wrote version 3 of the minutes',
    },
  ],
  room_recording_switched: [
    { data: { on: true }, actor: 'user:chen', zh: '陈晨 开始录像', en: '陈晨 started recording' },
    { data: { on: false }, actor: 'user:chen', zh: '陈晨 停止录像', en: '陈晨 stopped recording' },
  ],
  video_recording_stored: [
    {
      data: { label: '执法仪7', seconds: 61 },
      zh: '执法仪7 的录像已存档',
      en: 'Recording of 执法仪7 stored',
    },
  ],
  video_recording_failed: [
    {
      data: { label: '执法仪7', reason: 'disk full' },
      zh: '执法仪7 的录像失败',
      en: 'The recording of 执法仪7 failed',
    },
  ],
  video_recording_deleted: [
    { data: { sha256: 'ab' }, zh: '录像保存期满', en: 'video recording’s time was up' },
  ],
}
