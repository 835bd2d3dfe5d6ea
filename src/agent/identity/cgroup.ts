/**
 * The unit a process belongs to, from /proc/PID/cgroup. Version 1 has a line for each controller,
 * version 2 the one line `0::/path`; hybrids have both. https://man7.org/linux/man-pages/man7/cgroups.7.html
 *
 *     9:name=systemd:/system.slice/nginx.service
 *     0::/system.slice/docker-4bf1….scope
 */

/** Containers go by 64 hex digits: /docker/ID, docker-ID.scope, cri-containerd-ID.scope. */
const CONTAINER = /(?:^|[/:-])([0-9a-f]{64})(?:\.scope)?(?=\/|$)/
const SERVICE = /([^/]+\.service)(?=\/|$)/g
/** The manager of a user's own units; what lies below it names better. */
const USER_MANAGER = /^user@\d+\.service$/

/**
 * The container's id, else the systemd service, else the empty string: a login session's scope has
 * another number each time, and who runs there is the executable.
 */
export function unitOf(cgroup: string): string {
  const paths = cgroup
    .split('\n')
    .map((line) => line.slice(line.indexOf(':', line.indexOf(':') + 1) + 1))
  for (const path of paths) {
    const container = CONTAINER.exec(path)?.[1]
    if (container !== undefined) return container
  }
  for (const path of paths) {
    const services = [...path.matchAll(SERVICE)].map(([, service]) => service!)
    const service = services.findLast((name) => !USER_MANAGER.test(name))
    if (service !== undefined) return service
  }
  return ''
}
