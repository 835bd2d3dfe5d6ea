import type { Sample } from '../lib/counters.ts'
import type { CallsSink } from '../model/call.ts'
import type { Segment, SegmentSink, SetVerdict } from '../model/segment.ts'
import { Flow, type Surroundings } from './flow/flow.ts'
import type { LostTap, MessageTap } from './protocols/dialogue/listener.ts'
import { Dialogues } from './protocols/dialogue.ts'
import type { Protocol } from './protocols/protocol.ts'
import { protocols as registry } from './protocols/registry.ts'
import { Sessions } from './sessions/sessions.ts'

export type PipelineOptions = Surroundings & {
  /** Takes calls, some at a time; it keeps the objects only until it returns. */
  readonly onCalls: CallsSink
  /** Sees each message as its protocol read it: `replay --table messages`. */
  readonly onMessage?: MessageTap
  /** Told when what was read of a connection in part is not gone on with. */
  readonly onLost?: LostTap
  /** Tells capture how much of a socket's calls is wanted. */
  readonly setVerdict?: SetVerdict
  /** False keeps SQL literals, query-string and Redis values. */
  readonly redact: boolean
  /** In the order in which equal claims are decided; those of the registry where absent. */
  readonly protocols?: readonly Protocol[]
  readonly connectionsMax?: number
  readonly bufferBytesMax?: number
  readonly waitingMax?: number
  readonly endpoints?: string
  readonly timeoutSeconds?: number
  readonly dnsTimeoutSeconds?: number
  readonly firstFlowId?: number
}

/** The journey from segments to calls: flow puts in order, dialogues read, sessions pair. */
export class Pipeline {
  readonly flow: Flow
  readonly dialogues: Dialogues
  readonly sessions: Sessions
  /** Takes each segment that capture gives. */
  readonly segment: SegmentSink

  constructor(options: PipelineOptions) {
    const sessions = new Sessions({ ...options, emit: options.onCalls })
    const dialogues = new Dialogues({
      ...options,
      protocols: options.protocols ?? registry,
      openSession: (connection) => sessions.open(connection),
    })
    const flow = new Flow({
      ...options,
      openReader: (connection) => dialogues.open(connection),
      setVerdict: options.setVerdict ?? (() => {}),
    })
    this.sessions = sessions
    this.dialogues = dialogues
    this.flow = flow
    this.segment = (segment: Segment) => flow.segment(segment)
  }

  /** Lets time pass: call it often (every 10 ms, or after each poll); `now` is monotonic µs. */
  tick(now: number): void {
    this.flow.tick(now)
    this.dialogues.tick(now)
    this.sessions.tick(now)
  }

  /** The end of a capture: what waits is given up, what is not whole is counted. */
  drain(): void {
    this.flow.closeAll()
    this.sessions.flush()
  }

  samples(): Sample[] {
    return [...this.flow.samples(), ...this.dialogues.samples(), ...this.sessions.samples()]
  }
}
