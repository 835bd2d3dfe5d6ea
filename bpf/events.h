/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What travels between the kernel and src/agent/capture: layout.ts holds the same offsets. */
#pragma once

#include "types.h"

#define BYTES_ALL 16384 /* the most that one call hands over */
#define IOVECS_MAX 8
#define LOCK_TRIES 128
#define LOOK_EVERY 16 /* events of a processor between two looks at how full the ring is */
#define MESSAGES_MAX 1024 /* UIO_MAXIOV: sendmmsg and recvmmsg take no more */

enum direction { SEND = 0, RECEIVE = 1 };
enum role { ROLE_UNKNOWN = 0, ROLE_CLIENT = 1, ROLE_SERVER = 2 };
enum before { BEFORE_UNKNOWN = 0, BEFORE_NONE = 1, BEFORE_SOME = 2 };
enum kind { KIND_DATA = 0, KIND_CLOSE = 1 };

struct event {
	__u64 key;      /* socket cookie, or inode + 2^52 where it has none */
	__u64 time;     /* CLOCK_MONOTONIC ns when the call returned */
	__u64 trace;    /* links an inbound message to the outbound one it caused; 0: none */
	__u32 sequence; /* TCP: of the first byte; of the end where kind is close */
	__u32 size;     /* bytes the call moved */
	__u32 captured; /* bytes that follow this header */
	__u32 tgid;
	__u32 tid;
	__u32 network; /* inode of the network namespace */
	__u16 local_port;
	__u16 remote_port;
	__u8 kind;
	__u8 direction;
	__u8 role;
	__u8 protocol;
	__u8 ipv4;
	__u8 before; /* TCP: whether other bytes of the stream went before these */
	__u8 padding[6];
	__u8 local[16];
	__u8 remote[16];
	char command[16];
};

#define HEADER_SIZE sizeof(struct event)

/* Every event, and every byte that could not be shown, is counted by cause. */
enum counter {
	COUNT_EVENTS,        /* records written to the ring */
	COUNT_RING_FULL,     /* events lost: no room in the ring */
	COUNT_UNREADABLE,    /* events without bytes: the buffer could not be read */
	COUNT_IOVECS_CUT,    /* events cut: more than IOVECS_MAX vectors */
	COUNT_ASYNC,         /* events without bytes: io_uring, aio, kernel threads */
	COUNT_SPLICED,       /* events without bytes: sendfile, splice */
	COUNT_COMPAT,        /* events without bytes: 32-bit system calls */
	COUNT_STATE_FULL,    /* events lost: no memory for the socket's state */
	COUNT_UNIX_MESSAGES, /* seen on unix sockets, not parsed */
	COUNT_UNIX_BYTES,
	COUNT_UNSUPPORTED, /* seen on sockets that are neither TCP nor UDP, nor unix */
	COUNT_OVERLAPS,    /* TCP positions that concurrent calls left in doubt */
	COUNT_URING_CALLS, /* io_uring_enter seen by the syscall family, which sees no more */
	COUNTERS,
};

/* One page that user space maps and writes. */
struct control {
	__u32 generation; /* moves when a verdict or a mute changed: sockets read theirs again */
};
