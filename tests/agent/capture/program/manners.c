/* SPDX-License-Identifier: Apache-2.0 */
/* Ways in which programs use sockets that an observer may trip over. */
#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "truth.h"

static uint8_t bytes[1 << 20];

static void duplicated(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	int copy = dup(pair[0]);
	put(pair[0], "by the first", 12);
	close(pair[0]);
	put(copy, "by its copy", 11);
	take(pair[1], 23);
	must(dup2(copy, 100) == 100, "dup2");
	put(100, "by number 100", 13);
	take(pair[1], 13);
}

static void forked(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	put(pair[0], "parent", 6);
	pid_t child = fork();
	if (!child) {
		take(pair[1], 6);
		put(pair[1], "child", 5);
		exit(0);
	}
	waitpid(child, NULL, 0);
	take(pair[0], 5);
}

static void pass(int channel, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = {};
	struct iovec vector = { "x", 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(int));
	must(sendmsg(channel, &message, 0) == 1, "pass");
}

static int passed_on(int channel)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };
	int fd;

	must(recvmsg(channel, &message, 0) == 1, "passed");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	return fd;
}

static void passed(const char *transport)
{
	int channel[2], pair[2];

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, channel), "socketpair");
	pid_t child = fork();
	if (!child) {
		int fd = passed_on(channel[1]);
		put(fd, "by a stranger", 13);
		exit(0);
	}
	make_pair(transport, pair);
	put(pair[0], "by its maker", 12);
	pass(channel[0], pair[0]);
	waitpid(child, NULL, 0);
	take(pair[1], 25);
}

/* Looking is not taking; neither is the error queue, nor a call that would block. */
static void peeked(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	must(recv(pair[1], bytes, 100, MSG_DONTWAIT) == -1 && errno == EAGAIN, "EAGAIN");
	put(pair[0], "peeked at", 9);
	must(recv(pair[1], bytes, 100, MSG_PEEK) == 9, "peek");
	struct iovec vector = { bytes, 4 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1 };
	must(recvmsg(pair[1], &message, MSG_PEEK) == 4, "peek");
	must(recvmsg(pair[1], &message, MSG_ERRQUEUE | MSG_DONTWAIT) == -1, "empty queue");
	take(pair[1], 9);
}

/* The error queue gives back what was sent: it was not received. */
static void error_queue(const char *transport)
{
	struct sockaddr_storage nobody, from;
	socklen_t length;
	int yes = 1, gone = bound_datagram(AF_INET, &nobody, &length);
	int fd = bound_datagram(AF_INET, &from, &length);
	char control[512];
	struct iovec vector = { bytes, 100 };
	struct msghdr message = { .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof(control) };

	close(gone);
	must(!setsockopt(fd, IPPROTO_IP, IP_RECVERR, &yes, sizeof(yes)), "RECVERR");
	must(!connect(fd, (struct sockaddr *)&nobody, length), "connect");
	put(fd, "to nobody", 9);
	while (recvmsg(fd, &message, MSG_ERRQUEUE) != 9)
		usleep(1000);
}

/* A full socket takes less than it is given, then nothing; what it took is what counts. */
static void short_writes(const char *transport)
{
	int pair[2], small = 4096;
	size_t total = 0;

	make_pair(transport, pair);
	must(!setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), "SNDBUF");
	must(!fcntl(pair[0], F_SETFL, O_NONBLOCK), "nonblock");
	fill(bytes, sizeof(bytes), 8);
	for (int round = 0; round < 3; round++) {
		for (;;) {
			ssize_t took = write(pair[0], bytes, sizeof(bytes));
			if (took < 0)
				break;
			moved(pair[0], SEND, bytes, took);
			total += took;
		}
		must(errno == EAGAIN, "EAGAIN");
		take(pair[1], total);
		total = 0;
	}
}

#define WRITERS 4
#define MESSAGES 250

static int shared[2];

static void *writes(void *number)
{
	uint8_t message[64];
	unsigned writer = (uintptr_t)number;

	pthread_setname_np(pthread_self(), "writer");
	for (unsigned i = 0; i < MESSAGES; i++) {
		unsigned size = 20 + (writer * 7 + i) % 40;
		memset(message, 'a' + writer, size);
		message[size - 1] = '\n';
		must(write(shared[0], message, size) == (ssize_t)size, "write");
		moved(shared[0], SEND, message, size);
	}
	return NULL;
}

static void *reads(void *left)
{
	uint8_t got[512];

	for (;;) {
		ssize_t size = read(shared[1], got, sizeof(got));
		if (size <= 0)
			return NULL;
		moved(shared[1], RECEIVE, got, size);
	}
}

static void threads(const char *transport)
{
	pthread_t writers[WRITERS], readers[2];

	make_pair(transport, shared);
	for (uintptr_t i = 0; i < 2; i++)
		pthread_create(&readers[i], NULL, reads, NULL);
	for (uintptr_t i = 0; i < WRITERS; i++)
		pthread_create(&writers[i], NULL, writes, (void *)i);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	shutdown(shared[0], SHUT_WR);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
}

/* TCP throws the bytes away; UDP tells the whole length of a datagram it cut. */
static void truncated(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	fill(bytes, 200, 9);
	put(pair[0], bytes, 200);
	if (transport[0] == 't') {
		must(recv(pair[1], NULL, 150, MSG_TRUNC) == 150, "MSG_TRUNC");
		moved_unseen(pair[1], RECEIVE, 150);
		take(pair[1], 50);
	} else {
		must(recv(pair[1], bytes, 60, MSG_TRUNC) == 200, "MSG_TRUNC");
		moved(pair[1], RECEIVE, bytes, 200);
	}
}

static void unconnected(const char *transport)
{
	struct sockaddr_storage one, other, from;
	socklen_t length, from_length = sizeof(from);
	int family = strchr(transport, '6') ? AF_INET6 : AF_INET;
	int client = bound_datagram(family, &one, &length);
	int server = bound_datagram(family, &other, &length);

	must(sendto(client, "question", 8, 0, (struct sockaddr *)&other, length) == 8, "sendto");
	moved(client, SEND, "question", 8);
	must(recvfrom(server, bytes, 100, 0, (struct sockaddr *)&from, &from_length) == 8, "recvfrom");
	moved(server, RECEIVE, bytes, 8);
	struct iovec vector = { "answer", 6 };
	struct msghdr answer = { .msg_iov = &vector, .msg_iovlen = 1, .msg_name = &from,
				 .msg_namelen = from_length };
	must(sendmsg(server, &answer, 0) == 6, "sendmsg");
	moved(server, SEND, "answer", 6);
	must(recv(client, bytes, 100, 0) == 6, "recv");
	moved(client, RECEIVE, bytes, 6);
}

/* Connects, says its socket's inode, waits for input, and only then sends anything. */
static void before(const char *transport)
{
	int pair[2];
	struct stat status;

	asks_cookies = false;
	make_pair(transport, pair);
	must(!fstat(pair[0], &status), "inode");
	printf("%lu\n", status.st_ino);
	fflush(stdout);
	must(read(0, bytes, 1) == 1, "line");
	put(pair[0], "at last", 7);
	take(pair[1], 7);
	close(pair[0]);
	close(pair[1]);
	must(read(0, bytes, 1) == 1, "line");
}

/* In a network namespace of its own, where fast open may be switched on. */
static void fast_open(const char *transport)
{
	struct sockaddr_storage to;
	socklen_t length;
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int queue = 5;

	must(!unshare(CLONE_NEWNET), "unshare");
	must(!ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCSIFFLAGS, &lo), "lo up");
	int setting = open("/proc/sys/net/ipv4/tcp_fastopen", O_WRONLY);
	must(setting >= 0 && write(setting, "519", 3) == 3, "tcp_fastopen");
	int listening = listener(AF_INET, &to, &length);
	must(!setsockopt(listening, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue)), "TCP_FASTOPEN");
	int client = socket(AF_INET, SOCK_STREAM, 0);
	must(sendto(client, "in the syn", 10, MSG_FASTOPEN, (struct sockaddr *)&to, length) == 10,
	     "MSG_FASTOPEN");
	moved(client, SEND, "in the syn", 10);
	int server = accept(listening, NULL, NULL);
	take(server, 10);
	put(server, "answer", 6);
	put(client, "more", 4);
	take(client, 6);
	take(server, 4);
}

/* One end says it is done and goes on reading: the connection is closed before the socket is. */
static void half_closed(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	put(pair[0], "last words", 10);
	shutdown(pair[0], SHUT_WR);
	take(pair[1], 10);
	put(pair[1], "farewell", 8);
	close(pair[1]);
	usleep(20000);
	take(pair[0], 8);
	must(!read(pair[0], bytes, 1), "end");
	close(pair[0]);
}

/* A proxy's thread: asked on one socket, it asks on another, is answered, answers. */
static void proxied(const char *transport)
{
	int front[2], back[2];

	make_pair(transport, front);
	make_pair(transport, back);
	put(front[0], "ask", 3);
	pid_t proxy = fork();
	if (!proxy) {
		take(front[1], 3);
		put(back[0], "ask on", 6);
		take(back[0], 5);
		put(front[1], "reply", 5);
		put(front[1], "again", 5);
		exit(0);
	}
	take(back[1], 6);
	put(back[1], "reply", 5);
	waitpid(proxy, NULL, 0);
	take(front[0], 10);
}

static void unix_sockets(const char *transport)
{
	int pair[2];
	char path[] = "by unix";

	must(!socketpair(AF_UNIX, SOCK_STREAM, 0, pair), "socketpair");
	for (int i = 0; i < 10; i++) {
		must(write(pair[0], path, 7) == 7, "write");
		must(read(pair[1], bytes, 100) == 7, "read");
	}
}

/* Datagrams written and read as fast as it goes; TRANSPORT is COUNTxSIZE, and w to wait first. */
static void flood(const char *transport)
{
	int count = 0, size = 0, pair[2];
	char wait = 0;

	must(sscanf(transport, "%dx%d%c", &count, &size, &wait) >= 2, "count");
	make_pair("udp4", pair);
	for (int i = 0; i < count; i++) {
		if (i == 1 && wait)
			must(read(0, bytes, 1) == 1, "go");
		memset(bytes, i, size);
		must(write(pair[0], bytes, size) == size, "write");
		must(read(pair[1], bytes, size) == size, "read");
	}
}

/* Sends a datagram of TRANSPORT bytes for each byte of standard input, and says so. */
static void slow(const char *transport)
{
	int pair[2], size = atoi(transport);
	char order;

	make_pair("udp4", pair);
	while (read(0, &order, 1) == 1) {
		must(write(pair[0], bytes, size) == size, "write");
		must(write(1, "sent\n", 5) == 5, "said");
	}
}

/* Serves one connection at a time: an echo, until standard input ends. */
static void echo(const char *transport)
{
	struct sockaddr_storage address;
	socklen_t length;
	int listening = listener(AF_INET, &address, &length);

	alarm(0);
	printf("%d\n", ntohs(((struct sockaddr_in *)&address)->sin_port));
	fflush(stdout);
	for (;;) {
		int fd = accept(listening, NULL, NULL);
		ssize_t got = read(fd, bytes, 100);
		must(got >= 0 && write(fd, bytes, got) == got, "echo");
		close(fd);
	}
}

const struct scenario manners[] = {
	{ "duplicated", duplicated },
	{ "forked", forked },
	{ "passed", passed },
	{ "peeked", peeked },
	{ "error_queue", error_queue },
	{ "short_writes", short_writes },
	{ "threads", threads },
	{ "truncated", truncated },
	{ "unconnected", unconnected },
	{ "before", before },
	{ "fast_open", fast_open },
	{ "half_closed", half_closed },
	{ "proxied", proxied },
	{ "unix", unix_sockets },
	{ "flood", flood },
	{ "slow", slow },
	{ "echo", echo },
	{ NULL, NULL },
};
