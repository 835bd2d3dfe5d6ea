/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Settings and maps that both hook families share. User space may resize maps before loading. */
#pragma once

#include "events.h"

#include <bpf/bpf_helpers.h>

struct settings {
	__u32 quiet_ticks;     /* jiffies of quiet after which an ignored socket is tried again */
	__u32 undecided_bytes; /* of a call handed over until the socket has a verdict */
	__u32 wake_bytes;      /* unread in the ring, from which on its reader is woken */
};

const volatile struct settings settings = {
	.quiet_ticks = 60000,
	.undecided_bytes = 1024,
	.wake_bytes = 4 << 20,
};

enum verdict { UNDECIDED = 0, DECIDED = 1, MUTED = 2 };

enum stage { UNBORN = 0, BORN = 1, RUNNING = 2 };

/*
 * One direction of a TCP socket: where it stands, and the stretch below that was never seen. BORN
 * where its beginning was seen and no byte yet.
 */
struct lane {
	__u32 end;
	__u32 gap_from;
	__u32 gap_to;
	__u32 stage;
};

struct socket_state {
	__u64 key;
	__u64 seen; /* jiffies at the last call of an ignored socket: cheaper than any clock */
	__u64 inode;
	__u32 generation;
	__u32 limit;
	__u8 verdict;
	__u8 role;
	__u8 reported;
	__u8 padding;
	__u32 locked;
	struct lane lanes[2];
};

/* What a thread is about: the trace id it carries, and where in a vector of messages it is. */
struct thread {
	__u64 trace;
	__u64 socket;
	__u64 vector;
	__u64 vector_socket;
	__u32 next;
	__u32 last;
};

struct scratch {
	struct event event;
	/* Twice what is used: the verifier adds the largest offset to the largest length. */
	__u8 bytes[2 * BYTES_ALL];
	/* The stack has 512 bytes for a whole chain of calls: what is large lies here. */
	struct user_iovec vectors[IOVECS_MAX];
	struct socket_state fresh;
};

#define MAP(name, kind, flags, entries, from, to)                                                  \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(map_flags, flags);                                                          \
		__uint(max_entries, entries);                                                      \
		__type(key, from);                                                                 \
		__type(value, to);                                                                 \
	} name SEC(".maps")

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 8 << 20);
} ring SEC(".maps");

MAP(control, BPF_MAP_TYPE_ARRAY, BPF_F_MMAPABLE, 1, __u32, struct control);
MAP(counters, BPF_MAP_TYPE_PERCPU_ARRAY, 0, COUNTERS, __u32, __u64);
/* Socket key -> bytes per call. The least used gives way: its socket keeps what it read. */
MAP(verdicts, BPF_MAP_TYPE_LRU_HASH, 0, 65536, __u64, __u32);
MAP(muted_processes, BPF_MAP_TYPE_HASH, 0, 1024, __u32, __u8);
/* network << 32 | port << 16 | other end's port (0: whoever connects): ends of muted processes. */
MAP(muted_ends, BPF_MAP_TYPE_LRU_HASH, 0, 4096, __u64, __u8);
/* Where events are put together: one for each direction and processor, as user space sets. */
MAP(scratches, BPF_MAP_TYPE_ARRAY, 0, 2, __u32, struct scratch);
MAP(threads, BPF_MAP_TYPE_TASK_STORAGE, BPF_F_NO_PREALLOC, 0, int, struct thread);
