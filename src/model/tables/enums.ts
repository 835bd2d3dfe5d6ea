/** Words of the columns that hold numbers: what SQL may say and JSON output prints. */
export const ENUMS: Readonly<Record<string, Readonly<Record<number, string>>>> = {
  type: { 0: 'request', 1: 'response', 2: 'session' },
  response_status: {
    0: 'Success',
    2: 'Timeout',
    3: 'Server error',
    4: 'Client error',
    5: 'Unknown',
    6: 'Parse failed',
  },
  l7_protocol: { 0: 'N/A', 20: 'HTTP', 60: 'MySQL', 80: 'Redis', 120: 'DNS', 121: 'TLS' },
  protocol: { 1: 'ICMP', 6: 'TCP', 17: 'UDP' },
  role: { 0: 'client', 1: 'server' },
  signal_source: { 0: 'Packet', 3: 'eBPF', 4: 'OTel' },
  auto_instance_type: { 0: 'IP', 6: 'Host', 120: 'Process' },
}
