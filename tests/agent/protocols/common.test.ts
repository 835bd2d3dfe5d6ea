/** What must hold of every protocol, on its own transcripts, on noise and on what is hostile. */
import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { AGAIN, MORE, type Sender } from '../../../src/agent/protocols/protocol.ts'
import { protocols } from '../../../src/agent/protocols/registry.ts'
import { ENUMS } from '../../../src/model/tables/enums.ts'
import { bytesOf, Counted, CountedWords, TestLink, TestStream, type Told, toldOf } from './link.ts'
import { type Line, samples } from './samples.ts'

const SENDERS: readonly Sender[] = ['client', 'server']

test('protocols have names and numbers of their own, those of the column l7_protocol', () => {
  expect(new Set(protocols.map(({ name }) => name)).size).toBe(protocols.length)
  for (const { name, number } of protocols) expect(ENUMS['l7_protocol']?.[number]).toBe(name)
})

for (const protocol of protocols) {
  const { transcripts, hostile } = samples[protocol.name]!
  const lines = transcripts.flat()

  /** What is told of a transcript whose lines come in the pieces that `cut` makes. */
  function read(transcript: readonly Line[], cut: (bytes: Uint8Array) => Uint8Array[]): Told[] {
    const stream = new TestStream(protocol)
    for (const [sender, text] of transcript)
      for (const piece of cut(bytesOf(text))) stream.push(sender, piece)
    expect(stream.end).toBe(MORE)
    return stream.told
  }

  describe(protocol.name, () => {
    test('has transcripts of both senders', () =>
      expect(new Set(lines.map(([sender]) => sender)).size).toBe(2))

    test('reads every line of a transcript whole', () => {
      for (const transcript of transcripts) {
        const link = new TestLink(protocol)
        for (const [sender, text] of transcript)
          expect(link.feed(sender, bytesOf(text))).toBe(text.length)
      }
    })

    test('reads the same from a transcript cut at any byte, and byte by byte', () => {
      for (const transcript of transcripts) {
        const whole = read(transcript, (bytes) => [bytes])
        expect(whole.length).toBeGreaterThan(1)
        expect(
          read(transcript, (bytes) => Array.from(bytes, (byte) => Uint8Array.of(byte))),
        ).toEqual(whole)
        const longest = Math.max(...transcript.map(([, text]) => text.length))
        for (let at = 1; at < longest; at++)
          expect(read(transcript, (bytes) => [bytes.slice(0, at), bytes.slice(at)])).toEqual(whole)
      }
    })

    test('never takes the beginning of a line for anything wrong', () => {
      for (const transcript of transcripts)
        for (const [at, [sender, text]] of transcript.entries())
          for (let size = 1; size < text.length; size++) {
            const link = new TestLink(protocol)
            for (const [before, said] of transcript.slice(0, at)) link.feed(before, bytesOf(said))
            expect(link.feed(sender, bytesOf(text.slice(0, size)))).toBeGreaterThanOrEqual(MORE)
          }
    })

    test('reads nothing of what lies behind its input', () => {
      const feed = (before: readonly Line[], sender: Sender, bytes: Uint8Array, end: number) => {
        const link = new TestLink(protocol)
        for (const [who, said] of before) link.feed(who, bytesOf(said))
        const size = link.feed(sender, bytes, 0, end)
        return size > 0 ? [size, toldOf(link.message)] : [size]
      }
      for (const transcript of transcripts)
        for (const [at, [sender, text]] of transcript.entries())
          for (let end = 1; end <= text.length; end++) {
            const before = transcript.slice(0, at)
            const alone = feed(before, sender, bytesOf(text.slice(0, end)), end)
            for (const behind of [
              text.slice(end) + text,
              '\r\n\r\n',
              '\n\n',
              '\0\0\0\0',
              ' x\r\n',
            ]) {
              const bytes = bytesOf(text.slice(0, end) + behind)
              expect(feed(before, sender, bytes, end)).toEqual(alone)
            }
          }
    })

    test('claims what its transcripts begin with more surely than any other', () => {
      for (const transcript of transcripts) {
        const [sender, text] = transcript[0]!
        const own = protocol.claim(bytesOf(text), sender)
        expect(own).toBeGreaterThan(40)
        for (const other of protocols)
          if (other !== protocol) expect(other.claim(bytesOf(text), sender)).toBeLessThan(own)
      }
    })

    test('answers noise, and lines with bytes changed, in bounds and without throwing', () => {
      const changed = fc
        .tuple(fc.constantFrom(...lines), fc.nat(), fc.integer({ min: 0, max: 255 }))
        .map(([[, text], at, byte]) => bytesOf(text).with(at % text.length, byte))
      const zeroed = fc
        .tuple(fc.constantFrom(...lines), fc.nat())
        .map(([[, text], at]) => bytesOf(text).fill(0, at % text.length))
      const any = fc.oneof(fc.uint8Array({ maxLength: 512 }), changed, zeroed)
      const steps = fc.array(fc.tuple(fc.constantFrom(...SENDERS), any), { maxLength: 6 })
      fc.assert(
        fc.property(steps, fc.boolean(), (said, isDatagram) => {
          const link = new TestLink(protocol, isDatagram)
          for (const [sender, bytes] of said) {
            const size = link.feed(sender, bytes)
            expect(size >= AGAIN && Number.isSafeInteger(size)).toBe(true)
            for (const text of Object.values(link.message))
              if (text?.bytes !== undefined)
                expect(text.start <= text.end && text.end <= text.bytes.length).toBe(true)
            expect(protocol.claim(bytes, sender)).toBeWithin(0, 101)
          }
        }),
        { numRuns: 3000 },
      )
    })

    test('reads on where a transcript is met in its middle, without throwing', () => {
      for (const transcript of transcripts)
        for (let from = 1; from < transcript.length; from++) {
          const stream = new TestStream(protocol)
          for (const [sender, text] of transcript.slice(from)) stream.push(sender, bytesOf(text))
          expect(stream.told.every(({ sender, kind }) => fits(String(sender), kind))).toBe(true)
        }
    })

    test('does no more work on what is hostile than its size allows', () => {
      for (const [sender, text] of hostile) {
        const counted = new Counted(bytesOf(text))
        using words = new CountedWords()
        const link = new TestLink(protocol)
        let at = 0
        for (let size = 1; at < text.length && size > 0; at += size)
          size = link.feed(sender, counted.bytes, at)
        protocol.claim(counted.bytes, sender)
        expect((counted.reads + words.reads) / text.length).toBeLessThan(12)
      }
    })

    test('does no more work on what comes byte by byte than a bounded head allows', () => {
      for (const [sender, text] of hostile) {
        const bytes = bytesOf(text.slice(0, 20_000))
        const counted = new Counted(bytes)
        using words = new CountedWords()
        const link = new TestLink(protocol)
        for (let size = 1; size < bytes.length; size += 7) {
          const seen = new Counted(bytes.subarray(0, size))
          const fed = link.feed(sender, seen.bytes)
          counted.reads += seen.reads
          if (fed !== MORE) break
        }
        expect(counted.reads + words.reads).toBeLessThan(5_000_000)
      }
    })
  })
}

/** Requests come from clients, responses from servers. */
function fits(sender: string, kind: unknown): boolean {
  return kind === 'response' ? sender === 'server' : sender === 'client'
}
