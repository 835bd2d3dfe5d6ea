/** The image of the Dockerfile, built and run by a Docker of our own, without a registry. */
import { afterAll, beforeAll, expect, setDefaultTimeout } from 'bun:test'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Child, runProgram, startChild } from '../../src/lib/process.ts'
import { missing, testWith } from '../needs.ts'
import { freePort, peer } from '../peers/peers.ts'
import { until } from '../until.ts'
import { MINUTES, makeDebian, PATH } from './debian.ts'

const NEEDS = ['root', 'mounts', 'executable', 'dockerd', 'debootstrap'] as const
const BASE = 'debian:12-slim'
setDefaultTimeout(10 * MINUTES)

const PROJECT = join(import.meta.dir, '..', '..')
let directory = ''
let daemon: Child | undefined
const said: string[] = []

/** Runs docker's command line and answers what it printed; throws where it failed. */
async function docker(...args: readonly string[]): Promise<string> {
  const run = await runProgram(
    [peer('docker')!, '--host', `unix://${directory}/docker.sock`, ...args],
    { timeoutMs: 5 * MINUTES, directory: PROJECT },
  )
  if (run.code !== 0) throw new Error(`Cannot docker ${args.join(' ')}: ${run.stdout}${run.stderr}`)
  return (run.stdout + run.stderr).trim()
}

/** A bare Debian 12 under the Dockerfile's own tag. */
async function makeBase(): Promise<void> {
  const base = join(directory, 'base')
  await makeDebian(base)
  const tar = join(directory, 'base.tar')
  await runProgram(['tar', '-C', base, '-cf', tar, '.'])
  await docker('import', tar, BASE)
}

beforeAll(async () => {
  if (missing(...NEEDS) !== undefined) return
  directory = mkdtempSync('/var/tmp/metaflow-image-')
  const overlay = readFileSync('/proc/filesystems', 'utf8').includes('\toverlay\n')
  daemon = startChild({
    command: [
      peer('dockerd')!,
      '--iptables=false',
      '--ip6tables=false',
      '--bridge=none',
      `--storage-driver=${overlay ? 'overlay2' : 'vfs'}`,
      `--data-root=${directory}/data`,
      `--exec-root=${directory}/exec`,
      `--pidfile=${directory}/pid`,
      `--host=unix://${directory}/docker.sock`,
    ],
    name: 'dockerd',
    // Its helpers are searched on PATH. In a changed root there is no pivot_root.
    environment: { PATH, DOCKER_RAMDISK: '1' },
    onLine: (line) => said.push(line),
  })
  const isUp = () =>
    docker('version').then(
      () => true,
      () => false,
    )
  await until(isUp, 60).catch(() => {
    throw new Error(`Cannot start dockerd: ${said.slice(-5).join('\n')}`)
  })
  await makeBase()
  await docker('build', '--network', 'host', '-t', 'metaflow', '.')
})

afterAll(async () => {
  await daemon?.stop()
  // The daemon leaves its data folder, and the namespaces it made, mounted.
  for (const line of readFileSync('/proc/self/mounts', 'utf8').split('\n').reverse()) {
    const at = line.split(' ')[1] ?? ''
    if (directory !== '' && at.startsWith(`${directory}/`)) await runProgram(['umount', '-l', at])
  }
  if (directory !== '') rmSync(directory, { recursive: true, force: true })
})

const test = testWith(...NEEDS)

test('the image runs metaflow', async () => {
  expect(await docker('run', '--rm', '--network', 'host', 'metaflow', '--version')).toMatch(
    /^metaflow \d+\.\d+\.\d+$/,
  )
})

test('the image observes with the privileges it names, and stops in order', async () => {
  const rights = ['SYS_ADMIN', 'SYS_PTRACE', 'DAC_READ_SEARCH'].map((name) => `--cap-add=${name}`)
  const run = ['run', '-d', '--network=host', '--pid=host', '--cap-drop=ALL', ...rights]
  const id = await docker(...run, 'metaflow', '--mode=agent')
  await until(async () => (await docker('logs', id)).includes('Observing this host'), 30)
  await docker('stop', '--time=30', id)
  expect(await docker('inspect', '--format={{.State.ExitCode}}', id)).toBe('0')
})

test('the image serves, its engine with it', async () => {
  const port = await freePort()
  const listen = `METAFLOW_SERVER_LISTEN=127.0.0.1:${port}`
  const id = await docker('run', '-d', '--network=host', '-e', listen, 'metaflow')
  const health = () =>
    fetch(`http://127.0.0.1:${port}/healthz`).then(
      (answer) => answer.ok,
      () => false,
    )
  await until(health, 120).catch(async () => {
    throw new Error(`Cannot serve: ${await docker('logs', id)}`)
  })
  await docker('stop', '--time=60', id)
  expect(await docker('inspect', '--format={{.State.ExitCode}}', id)).toBe('0')
})
