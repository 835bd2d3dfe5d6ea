/* SPDX-License-Identifier: Apache-2.0 */
#include "truth.h"

bool asks_cookies = true;

void must(bool holds, const char *what)
{
	if (holds)
		return;
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t cookie_of(int fd)
{
	uint64_t cookie = 0;
	socklen_t length = sizeof(cookie);

	if (asks_cookies)
		must(!getsockopt(fd, SOL_SOCKET, SO_COOKIE, &cookie, &length), "SO_COOKIE");
	return cookie;
}

/* One write a line, so that those of threads and children do not mix. */
static void say(int fd, char direction, const uint8_t *bytes, size_t size)
{
	char line[2 * SHOWN + 128];
	int length = snprintf(line, sizeof(line), "%c %d %ld %llu %zu ", direction, getpid(),
			      syscall(SYS_gettid), (unsigned long long)cookie_of(fd), size);

	for (size_t i = 0; bytes && i < size && i < SHOWN; i++)
		length += sprintf(line + length, "%02x", bytes[i]);
	length += sprintf(line + length, bytes ? "\n" : "-\n");
	must(write(1, line, length) == length, "truth");
}

void moved(int fd, char direction, const void *bytes, size_t size)
{
	say(fd, direction, bytes, size);
}

void moved_unseen(int fd, char direction, size_t size)
{
	say(fd, direction, NULL, size);
}

void put(int fd, const void *bytes, size_t size)
{
	must(write(fd, bytes, size) == (ssize_t)size, "write");
	moved(fd, SEND, bytes, size);
}

void take(int fd, size_t size)
{
	static __thread uint8_t bytes[1 << 20];

	while (size) {
		ssize_t got = read(fd, bytes, size < sizeof(bytes) ? size : sizeof(bytes));
		must(got > 0, "read");
		moved(fd, RECEIVE, bytes, got);
		size -= got;
	}
}

void fill(void *bytes, size_t size, unsigned seed)
{
	uint8_t *to = bytes;

	for (size_t i = 0; i < size; i++)
		to[i] = (i * 31 + seed * 97 + (i >> 8)) & 0xff;
}

static void loopback(int family, struct sockaddr_storage *address, socklen_t *length)
{
	memset(address, 0, sizeof(*address));
	address->ss_family = family;
	if (family == AF_INET)
		((struct sockaddr_in *)address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	else
		((struct sockaddr_in6 *)address)->sin6_addr = in6addr_loopback;
	*length = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
}

static int bound(int family, int type, struct sockaddr_storage *address, socklen_t *length)
{
	int fd = socket(family, type, 0);

	must(fd >= 0, "socket");
	/* A socket that was never asked has no cookie, and is then known by its inode for good. */
	cookie_of(fd);
	loopback(family, address, length);
	must(!bind(fd, (struct sockaddr *)address, *length), "bind");
	must(!getsockname(fd, (struct sockaddr *)address, length), "getsockname");
	return fd;
}

int listener(int family, struct sockaddr_storage *address, socklen_t *length)
{
	int fd = bound(family, SOCK_STREAM, address, length);

	must(!listen(fd, 16), "listen");
	return fd;
}

int bound_datagram(int family, struct sockaddr_storage *address, socklen_t *length)
{
	return bound(family, SOCK_DGRAM, address, length);
}

/* A listener of both families that is reached over IPv4: its end's addresses are mapped ones. */
static void make_mapped(int pair[2])
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_addr = in6addr_any };
	struct sockaddr_storage to;
	socklen_t length = sizeof(any);
	int off = 0, listening = socket(AF_INET6, SOCK_STREAM, 0);

	must(!setsockopt(listening, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)), "V6ONLY");
	must(!bind(listening, (struct sockaddr *)&any, length), "bind");
	must(!listen(listening, 1), "listen");
	must(!getsockname(listening, (struct sockaddr *)&any, &length), "getsockname");
	loopback(AF_INET, &to, &length);
	((struct sockaddr_in *)&to)->sin_port = any.sin6_port;
	pair[0] = socket(AF_INET, SOCK_STREAM, 0);
	must(!connect(pair[0], (struct sockaddr *)&to, length), "connect");
	pair[1] = accept(listening, NULL, NULL);
	close(listening);
}

void make_pair(const char *transport, int pair[2])
{
	int family = strchr(transport, '6') ? AF_INET6 : AF_INET;
	struct sockaddr_storage one, other;
	socklen_t length;

	if (!strcmp(transport, "mapped")) {
		make_mapped(pair);
	} else if (transport[0] == 'u') {
		pair[0] = bound_datagram(family, &one, &length);
		pair[1] = bound_datagram(family, &other, &length);
		must(!connect(pair[0], (struct sockaddr *)&other, length), "connect");
		must(!connect(pair[1], (struct sockaddr *)&one, length), "connect");
	} else {
		int listening = listener(family, &other, &length);
		pair[0] = socket(family, SOCK_STREAM, 0);
		must(!connect(pair[0], (struct sockaddr *)&other, length), "connect");
		pair[1] = accept(listening, NULL, NULL);
		close(listening);
	}
	must(pair[1] >= 0, "pair");
}

static bool run(const struct scenario *list, const char *name, const char *transport)
{
	for (; list->name; list++) {
		if (strcmp(list->name, name))
			continue;
		list->run(transport);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	const char *transport = argc > 2 ? argv[2] : "tcp4";

	alarm(30);
	must(argc > 1, "usage: program SCENARIO [TRANSPORT]");
	must(run(calls, argv[1], transport) || run(manners, argv[1], transport), "no such scenario");
	return 0;
}
