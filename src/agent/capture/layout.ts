/**
 * Where the fields of `struct event` and its companions lie: bpf/events.h and bpf/maps.h say the
 * same in C, and a test compares both.
 */
export const EVENT = {
  key: 0,
  time: 8,
  trace: 16,
  sequence: 24,
  size: 28,
  captured: 32,
  tgid: 36,
  tid: 40,
  network: 44,
  local_port: 48,
  remote_port: 50,
  kind: 52,
  direction: 53,
  role: 54,
  protocol: 55,
  ipv4: 56,
  before: 57,
  local: 64,
  remote: 80,
  command: 96,
} as const
export const EVENT_SIZE = 112

/** `struct settings`, the object's .rodata. */
export const SETTINGS = { quiet_ticks: 0, undecided_bytes: 4, wake_bytes: 8 } as const
export const SETTINGS_SIZE = 12

/** `enum counter`: what the kernel counts, in its order, as metrics name it. */
export const COUNTERS = [
  'events',
  'ring_full',
  'unreadable',
  'iovecs_cut',
  'async',
  'spliced',
  'compat',
  'state_full',
  'unix_messages',
  'unix_bytes',
  'unsupported',
  'overlaps',
  'uring_calls',
] as const

/** Header of a BPF ring buffer's record: its length with two flags, and a page offset. */
export const RECORD_HEADER = 8
export const RECORD_BUSY = 0x8000_0000
export const RECORD_DISCARD = 0x4000_0000
