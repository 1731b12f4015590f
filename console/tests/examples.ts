/** What the hub says and what a reader must find in the sentence, for every kind of fact. */

import { ROOM_EXAMPLES, type Example } from './examples-rooms'
import { TIER_EXAMPLES } from './examples-tiers'

export const EXAMPLES: Record<string, Example[]> = {
  report_received: [
    {
      data: { source: 'device', category: 'sos', text: 'help' },
      zh: '收到单兵设备上报：SOS 紧急求助',
      en: 'SOS reported by a field device',
    },
  ],
  report_quarantined: [{ data: { reason: 'no position' }, zh: 'no position', en: 'no position' }],
  rules_decided: [
    {
      data: { outcome: { loop: 'street', team: 'patrol', level: 1 }, ruleset: 'r', version: '1' },
      zh: '规则判定：街道闭环，巡防队伍处置，一级',
      en: 'Rules decided: Street loop, team Patrol, Level 1',
    },
    {
      data: { outcome: { loop: 'community', team: 'grid-officer' }, fell_to_default: true },
      zh: '规则未命中',
      en: 'No rule matched',
    },
  ],
  incident_registered: [
    {
      data: { number: '20261120-0001', category: 'gas', level: 1 },
      zh: '立案 20261120-0001：燃气泄漏，一级',
      en: 'Registered as 20261120-0001: Gas leak, Level 1',
    },
  ],
  responders_ranked: [
    {
      data: { ranked: [{ responder: 'zhang' }, { responder: 'li' }], excluded: [] },
      zh: '候选人员 2 名，首选 张伟',
      en: '2 candidates, 张伟 first',
    },
    { data: { ranked: [], excluded: [] }, zh: '没有可派人员', en: 'Nobody can be sent' },
  ],
  responder_shortfall: [
    {
      data: { reasons: ['nobody_free'], fallback: null },
      zh: '力量不足：无人空闲',
      en: 'Not enough responders: nobody is free',
    },
    { data: { reasons: ['off_duty'], fallback: '王强' }, zh: '王强', en: 'duty leader 王强' },
  ],
  stage_moved: [
    {
      data: { action: 'verify', before: 'handled', after: 'verified' },
      actor: 'user:chen',
      zh: '陈晨核查通过',
      en: '陈晨 verified the result',
    },
    {
      data: { action: 'comment', note: 'x' },
      actor: 'user:li',
      zh: 'li 备注',
      en: 'li added a note',
    },
  ],
  incident_merged: [
    {
      data: { into: 'i9' },
      actor: 'user:chen',
      zh: '并入 20261120-0009',
      en: 'into 20261120-0009',
    },
  ],
  incident_absorbed: [
    {
      data: { number: '20261120-0003' },
      actor: 'user:chen',
      zh: '将 20261120-0003 并入',
      en: 'merged 20261120-0003 into this',
    },
  ],
  attention_raised: [
    { data: { code: 'nobody_accepts', text: 'x' }, zh: '无人接单', en: 'Nobody accepts' },
    { data: { code: 'brand_new', text: 'look at this' }, zh: 'look at this', en: 'look at this' },
  ],
  task_dispatched: [
    {
      data: { responder: '张伟', unit: '巡防队', attempt: 1 },
      zh: '派遣 张伟（巡防队）',
      en: 'Sent to 张伟 (巡防队)',
    },
    {
      data: { responder: '李娜', unit: '巡防队', attempt: 2 },
      zh: '第 2 次派遣：李娜',
      en: 'Attempt 2: sent to 李娜',
    },
  ],
  task_moved: [
    {
      data: { responder: '张伟', action: 'accept' },
      zh: '张伟 接单',
      en: '张伟 accepted the task',
    },
    {
      data: { responder: '张伟', action: 'return', note: '车坏了' },
      zh: '张伟 退单',
      en: '张伟 returned the task',
    },
  ],
  clock_expired: [
    {
      data: { clock: 'accept', step: 1, due_at: '2026-11-20T19:01:00Z' },
      zh: '接单时限已到',
      en: 'The acceptance clock ran out',
    },
  ],
  task_escalated: [
    {
      data: { from_responder: '张伟', to_responder: '李娜' },
      zh: '张伟 未按时接单，升级至 李娜',
      en: '张伟 did not accept in time, escalated to 李娜',
    },
    {
      data: { from_responder: '张伟', to_responder: null },
      zh: '已无人可升级',
      en: 'nobody is left',
    },
  ],
  message_queued: [
    {
      data: { title: '火情', recipients: ['zhang', 'sip:1001'], channels: ['wecom'] },
      zh: '通知 张伟, 值班台：火情',
      en: 'Notify 张伟, 值班台: 火情',
    },
  ],
  delivery_moved: [
    {
      data: {
        channel: 'wecom',
        recipient: 'zw',
        delivery_kind: 'send',
        state: 'delivered',
        attempt: 1,
      },
      zh: '企业微信消息 → wecom:zw：已送达',
      en: 'WeCom message to wecom:zw: Delivered',
    },
    {
      data: {
        channel: 'wecom',
        recipient: 'zw',
        delivery_kind: 'update',
        state: 'failed_perm',
        attempt: 3,
        error: 'no such user',
      },
      zh: '卡片更新',
      en: 'card update',
    },
  ],
  ack_received: [
    {
      data: { action: 'accept', source: 'wecom', effect: 'done' },
      actor: 'responder:zhang',
      zh: '张伟 在企业微信点击“接单”',
      en: '张伟 tapped “Accept” in WeCom',
    },
  ],
  call_started: [
    {
      data: { legs: ['sip:1001', 'radio:patrol-1'] },
      actor: 'user:chen',
      zh: '陈晨 发起通话：值班台, 巡防组',
      en: '陈晨 called 值班台, 巡防组',
    },
  ],
  duty_call_received: [
    {
      data: { line: '值班电话', caller: 'sip:1001', caller_name: null },
      zh: '值班台 拨打值班电话',
      en: '值班台 called 值班电话',
    },
  ],
  duty_call_forwarded: [
    {
      data: { to: 'sip:1001', waited_s: 20 },
      zh: '0:20 无人接听，转呼 值班台',
      en: 'Nobody answered for 0:20, 值班台 is called as well',
    },
  ],
  duty_call_taken: [
    { data: { by: 'sip:1001', waited_s: 7 }, zh: '值班台 接听来电', en: '值班台 answered' },
    {
      data: { by: 'user:chen', waited_s: 7 },
      actor: 'user:chen',
      zh: '陈晨 接听来电',
      en: '陈晨 answered',
    },
  ],
  duty_call_missed: [{ data: { waited_s: 31 }, zh: '无人接听', en: 'gave up' }],
  duty_call_closed: [
    { data: { how: 'declined' }, actor: 'user:chen', zh: '陈晨 拒接来电', en: '陈晨 declined' },
    { data: { how: 'called_back' }, actor: 'user:chen', zh: '已回拨', en: 'called back' },
    { data: { how: 'dismissed' }, actor: 'user:chen', zh: '不再回拨', en: 'no need' },
  ],
  line_alarm: [
    {
      data: { alarm: 'emergency', text: '120' },
      zh: '外线告警：120',
      en: 'Alarm of the outside lines: 120',
    },
  ],
  leg_moved: [
    {
      data: { endpoint: 'sip:1001', state: 'connected' },
      zh: '值班台 接通',
      en: '值班台 joined the call',
    },
    {
      data: { endpoint: 'sip:1001', state: 'ended', cause: 'busy', detail: '486' },
      zh: '值班台 未接通：占线',
      en: '值班台 was not reached: Busy',
    },
  ],
  call_ended: [{ data: { duration_s: 95.2 }, zh: '时长 1:35', en: 'after 1:35' }],
  floor_moved: [
    {
      data: { group: 'patrol-1', event: 'taken', talker: 'sip:1001' },
      zh: '巡防组 组话权：值班台 讲话',
      en: '值班台 has the floor of 巡防组',
    },
    {
      data: { group: 'patrol-1', event: 'idle', talker: null },
      zh: '巡防组 组话权空闲',
      en: 'The floor of 巡防组 is idle',
    },
    {
      data: { group: 'patrol-1', event: 'revoked', talker: 'sip:1001', cause: 'talk_limit' },
      zh: '巡防组 组收回 值班台 的话权',
      en: 'The floor of 巡防组 was taken from 值班台',
    },
    {
      data: { group: 'patrol-1', event: 'released', talker: null },
      zh: '释放',
      en: 'released',
    },
  ],
  floor_commanded: [
    {
      data: { group: 'patrol-1', action: 'revoke', participant: 'sip:1001' },
      actor: 'user:chen',
      zh: '陈晨 收回话权：巡防组 组 值班台',
      en: '陈晨 took away the floor of 巡防组: 值班台',
    },
  ],
  leg_shaped: [
    {
      data: { endpoint: 'sip:1001', change: { muted: true, gain_db: -6 } },
      actor: 'user:chen',
      zh: '陈晨 对 值班台：静音, 音量 -6 dB',
      en: '陈晨 changed 值班台: muted, volume -6 dB',
    },
    {
      data: { endpoint: 'sip:1001', change: { held: false, whispers_to: ['radio:patrol-1'] } },
      actor: 'user:chen',
      zh: '恢复通话, 密语给 巡防组',
      en: 'taken off hold, whispers to 巡防组',
    },
    {
      data: { endpoint: 'sip:1001', change: { whispers_to: [] } },
      actor: 'user:chen',
      zh: '结束密语',
      en: 'no longer whispers',
    },
    {
      data: { endpoint: 'sip:1001', change: { entry: 'listen', whispers_to: [] } },
      actor: 'user:chen',
      zh: '陈晨 安排 值班台 以“监听”方式加入',
      en: '陈晨 had 值班台 join to listen',
    },
  ],
  leg_transferred: [
    {
      data: { endpoint: 'sip:1001', from_call: 'a', to_call: 'b' },
      actor: 'user:chen',
      zh: '陈晨 将 值班台 移到另一通话',
      en: '陈晨 moved 值班台 to another call',
    },
  ],
  recording_stored: [
    {
      data: { call_id: 'c', recording_id: 'r', seconds: 61 },
      zh: '录音已存档，1:01',
      en: 'Recording stored, 1:01',
    },
  ],
  recording_switched: [
    {
      data: { on: true, per_leg: false },
      actor: 'user:chen',
      zh: '陈晨 开始录音',
      en: '陈晨 started recording',
    },
    {
      data: { on: true, per_leg: true },
      actor: 'user:chen',
      zh: '每一通话方单独录音',
      en: 'each leg on its own',
    },
    { data: { on: false }, actor: 'user:chen', zh: '陈晨 停止录音', en: '陈晨 stopped recording' },
  ],
  recording_failed: [
    { data: { reason: 'No space left on device' }, zh: '录音失败', en: 'Recording failed' },
    { data: { reason: 'x', leg_id: 'l' }, zh: '单独录音失败', en: 'recording of a leg failed' },
  ],
  leg_measured: [
    {
      data: { endpoint: 'sip:1001', score: 4.4, lost_pct: 0, jitter_ms: 2.5, round_trip_ms: null },
      zh: '值班台 通话质量良好（MOS 4.4）',
      en: '值班台 could be heard well (MOS 4.4)',
    },
    {
      data: { endpoint: 'sip:1001', score: 2.9, lost_pct: 12.5, jitter_ms: 40, round_trip_ms: 300 },
      zh: '通话质量很差',
      en: 'could hardly be heard',
    },
  ],
  recording_deleted: [{ data: {}, zh: '保存期满', en: 'time was up' }],
  prompt_played: [
    {
      data: { name: 'attention', legs: [] },
      actor: 'user:chen',
      zh: '陈晨 向全体通话方播放“广播前奏音”',
      en: '陈晨 played “Attention chime” to the whole call',
    },
    {
      data: { name: '疏散通知', legs: ['sip:1001'] },
      actor: 'user:chen',
      zh: '陈晨 向值班台播放“疏散通知”',
      en: '陈晨 played “疏散通知” to 值班台',
    },
  ],
  device_seen: [
    {
      data: { device_id: 'b7', online: true, changed: 'birth' },
      zh: '记录仪 7 上线',
      en: '记录仪 7 came online',
    },
    {
      data: { device_id: 'b7', online: false, changed: 'death' },
      zh: '记录仪 7 离线',
      en: '记录仪 7 went offline',
    },
    {
      data: { device_id: 'b7', online: true, changed: 'telemetry', battery: 55 },
      zh: '记录仪 7 更新位置',
      en: '记录仪 7 moved',
    },
  ],
  device_commanded: [
    {
      data: { device_id: 'b7', op: 'sos.ack', state: 'delivered' },
      zh: '记录仪 7 求助确认：已送达',
      en: '记录仪 7, SOS acknowledgement: Delivered',
    },
  ],
  phone_seen: [
    { data: { account: '1001', online: true }, zh: '话机 1001 注册', en: 'Phone 1001 registered' },
    {
      data: { account: '1001', online: false },
      zh: '话机 1001 离线',
      en: 'Phone 1001 went offline',
    },
  ],
  service_moved: [
    {
      data: { service: 'wecom', state: 'down' },
      zh: '企业微信服务中断',
      en: 'Service WeCom: down',
    },
  ],
  ...ROOM_EXAMPLES,
  ...TIER_EXAMPLES,
}
