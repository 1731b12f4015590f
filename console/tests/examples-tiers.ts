/** As `examples`, for the facts between hubs. */

import type { Example } from './examples-rooms'

const DUE = '2026-11-20T20:00:00Z'

export const TIER_EXAMPLES: Record<string, Example[]> = {
  peering_moved: [
    {
      data: {
        peer: 'd1',
        name: '区指挥中心',
        tier: 'district',
        relation: 'upper',
        state: 'active',
      },
      actor: 'user:chen',
      zh: '陈晨 与区指挥中心配对',
      en: '陈晨 paired this hub with 区指挥中心',
    },
    {
      data: { peer: 'd1', name: '', state: 'revoked' },
      actor: 'user:chen',
      zh: '陈晨 解除与区指挥中心的配对',
      en: 'revoked the peering with 区指挥中心',
    },
  ],
  link_moved: [
    { data: { peer: 'd1', up: true }, zh: '与区指挥中心的连接恢复', en: 'is back' },
    { data: { peer: 'd1', up: false, reason: 'x' }, zh: '连接断开', en: 'is down' },
  ],
  incident_shared: [
    {
      data: { peer: 'd1', share: 'reported_up', given: true, note: '请求支援' },
      actor: 'user:chen',
      zh: '陈晨 上报区指挥中心',
      en: '陈晨 reported it up to 区指挥中心',
    },
    {
      data: { peer: 'd1', share: 'assigned_down', given: false },
      actor: 'hub:d1',
      zh: '区指挥中心派发此事件',
      en: '区指挥中心 assigned it here',
    },
    {
      data: { peer: 'd1', share: 'whistled', given: true },
      actor: 'user:chen',
      zh: '陈晨 向区指挥中心吹哨',
      en: 'whistled for departments of 区指挥中心',
    },
  ],
  share_moved: [
    {
      data: { peer: 'd1', before: 'offered', after: 'held' },
      actor: 'hub:d1',
      zh: '区指挥中心已接收',
      en: '区指挥中心 has it',
    },
    {
      data: { peer: 'd1', before: 'held', after: 'returned', note: '不属我辖区' },
      actor: 'hub:d1',
      zh: '区指挥中心退回',
      en: '区指挥中心 gave it back',
    },
    {
      data: { peer: 'd1', before: 'held', after: 'returned' },
      actor: 'user:chen',
      zh: '陈晨 退回区指挥中心',
      en: '陈晨 gave it back to 区指挥中心',
    },
  ],
  their_stage_moved: [
    {
      data: { peer: 'd1', number: '20261120-3', stage: 'on_scene', clocks: {} },
      zh: '区指挥中心：到场',
      en: '区指挥中心: On scene',
    },
  ],
  unit_whistled: [
    {
      data: { check_in_id: 'c', peer: 'd1', unit: '区水务局', due_at: DUE },
      zh: '吹哨 区水务局（区指挥中心）',
      en: 'Whistled for 区水务局 of 区指挥中心',
    },
  ],
  check_in_moved: [
    {
      data: { check_in_id: 'c', peer: 'd1', unit: '区水务局', state: 'no_show' },
      zh: '区水务局 逾期未报到',
      en: '区水务局 did not come in time',
    },
    {
      data: { check_in_id: 'c', peer: 'd1', unit: '区水务局', state: 'checked_in' },
      zh: '区水务局 已报到',
      en: '区水务局 has come',
    },
  ],
  supervision_ordered: [
    {
      data: { supervision_id: 's', peer: 'd1', text: '今日办结', due_at: DUE },
      actor: 'hub:d1',
      zh: '区指挥中心下达督办',
      en: '区指挥中心 supervises',
    },
    {
      data: { supervision_id: 's', peer: 'd1', text: '今日办结', due_at: DUE },
      actor: 'user:chen',
      zh: '陈晨 向区指挥中心下达督办',
      en: '陈晨 supervises 区指挥中心',
    },
  ],
  supervision_moved: [
    {
      data: { supervision_id: 's', peer: 'd1', state: 'answered', answer: '已办结' },
      actor: 'user:chen',
      zh: '陈晨 反馈督办',
      en: '陈晨 answered the supervision',
    },
    { data: { peer: 'd1', state: 'overdue' }, zh: '督办逾期未反馈', en: 'overdue' },
  ],
  tier_refused: [
    {
      data: { peer: 'd1', message_kind: 'x', code: 'not-allowed', reason: 'no', ours: true },
      zh: '区指挥中心拒收我方消息',
      en: '区指挥中心 refused what we sent',
    },
  ],
  shared_moved: [
    { data: { peer: 'd1', subjects: ['radio:r12@d1'] }, zh: '更新共享资源', en: 'changed what' },
  ],
  shared_commanded: [
    {
      data: { peer: 'd1', subject: 'cam:b7', op: 'sos.ack', given: true },
      actor: 'user:chen',
      zh: '陈晨 对区指挥中心的 cam:b7 下达指令：求助确认',
      en: '陈晨 ordered cam:b7 of 区指挥中心: SOS acknowledgement',
    },
  ],
  timeline_merged: [{ data: { peer: 'd1', lines: 4 }, zh: '4 条记录', en: '4 lines' }],
  shares_changed: [{ data: { about: 'i1' }, zh: '级联协同有变化', en: 'shared has changed' }],
  cascade_moved: [
    {
      data: { room_id: 'r', peer: 'd1', state: 'joined' },
      zh: '区指挥中心加入会议',
      en: '区指挥中心 joined the meeting',
    },
    {
      data: { room_id: 'r', peer: 'd1', state: 'asked' },
      actor: 'user:chen',
      zh: '陈晨 邀请区指挥中心加入会议',
      en: '陈晨 asked 区指挥中心 into the meeting',
    },
  ],
}
