/** Reads a ring in a Worker, as the agent does: answers how many events it saw of one process. */
import { type CaptureHandle, openRing } from '../../../src/agent/capture/ring.ts'

declare const self: Worker

self.onmessage = ({ data }: MessageEvent<{ handle: CaptureHandle; processId: number }>): void => {
  const ring = openRing(data.handle)
  let ours = 0
  ring.poll((segment) => {
    if (segment.processId === data.processId) ours++
  })
  ring.close()
  postMessage(ours)
}
