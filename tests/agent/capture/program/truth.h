/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program that moves bytes over sockets in one way after the other and prints what it moved: the
 * truth that captures are compared with. Its lines:
 *   direction pid tid cookie size hex      what a call moved; hex is - where it never saw the bytes
 */
#ifndef TRUTH_H
#define TRUTH_H

#include <errno.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SEND 's'
#define RECEIVE 'r'
#define SHOWN 1024

extern bool asks_cookies;

/* Ends the program with a sentence where `holds` is not so. */
void must(bool holds, const char *what);
/* Says that `fd` moved `size` bytes. */
void moved(int fd, char direction, const void *bytes, size_t size);
void moved_unseen(int fd, char direction, size_t size);
/* Writes all of `bytes` and says so; reads exactly `size` with calls that are said. */
void put(int fd, const void *bytes, size_t size);
void take(int fd, size_t size);
/* Fills `bytes` with a pattern that differs with `seed`. */
void fill(void *bytes, size_t size, unsigned seed);
/* Two connected sockets: tcp4, tcp6, mapped, udp4, udp6. The second is the accepted one. */
void make_pair(const char *transport, int pair[2]);
/* A TCP listener on the loopback, and the address it got. */
int listener(int family, struct sockaddr_storage *address, socklen_t *length);
int bound_datagram(int family, struct sockaddr_storage *address, socklen_t *length);

struct scenario {
	const char *name;
	void (*run)(const char *transport);
};
extern const struct scenario calls[];
extern const struct scenario manners[];

#endif
