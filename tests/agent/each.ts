import type { Call, CallsSink } from '../../src/model/call.ts'

/** Takes calls one at a time. */
export function each(take: (call: Call) => void): CallsSink {
  return (calls, size) => {
    for (const call of calls.slice(0, size)) take(call)
  }
}
