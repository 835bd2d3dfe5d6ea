/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What both hook families do with a call that moved bytes on a socket. The including file defines
 * READ(sk, field): a plain load where the verifier trusts the pointer, a probe read elsewhere;
 * network_of(sk); and tcp_end(sk, direction), the sequence number after the last byte moved.
 */
#pragma once

#include "verdict.h"

/* A call as its arguments describe it. Addresses are the traced program's. */
struct call {
	__u64 buffer; /* the bytes, or the vectors where there are any */
	__u64 length; /* of the buffer */
	__u32 vectors;
	__u32 size; /* bytes moved */
	__u32 skip; /* TCP: bytes that later messages of the same call moved */
	__u32 direction;
	__u64 name; /* peer's address, 0 where none was given */
};

/* ---- which bytes ---- */

INLINE __u32 gather_vectors(struct scratch *scratch, struct call *call, __u32 want)
{
	struct user_iovec *vectors = scratch->vectors;
	__u32 number = at_most(call->vectors, IOVECS_MAX);
	__u32 done = 0;

	if (bpf_probe_read_user(vectors, number * sizeof(vectors[0]), (const void *)call->buffer))
		return 0;
	for (__u32 i = 0; i < IOVECS_MAX; i++) {
		if (i >= number || done >= want || done >= BYTES_ALL)
			return done;
		__u64 length = vectors[i].length;
		if (length > want - done)
			length = want - done;
		__u32 bounded = at_most(length, BYTES_ALL);
		__u8 *to = scratch->bytes + (done & (BYTES_ALL - 1));
		if (bpf_probe_read_user(to, bounded, (const void *)vectors[i].base))
			return done;
		done += bounded;
	}
	if (done < want)
		count(COUNT_IOVECS_CUT);
	return done;
}

INLINE __u32 gather(struct scratch *scratch, struct call *call, __u32 limit)
{
	__u32 want = at_most(call->size, BYTES_ALL), done = 0;

	if (want > limit)
		want = limit;
	if (!call->buffer || !want)
		return 0;
	if (!call->vectors && want > call->length)
		want = call->length;
	__u32 length = at_most(want, BYTES_ALL);
	if (call->vectors)
		done = gather_vectors(scratch, call, want);
	else if (!bpf_probe_read_user(scratch->bytes, length, (const void *)call->buffer))
		done = want;
	if (!done && want)
		count(COUNT_UNREADABLE);
	return at_most(done, BYTES_ALL);
}

/* ---- where in the stream, and of which trace ---- */

/*
 * bpf_spin_lock is refused in an LRU map, and to tracing programs of older kernels. Whoever holds
 * this one is never interrupted for long; after LOCK_TRIES one goes on without it.
 */
INLINE void lock(__u32 *locked)
{
	for (int i = 0; i < LOCK_TRIES; i++)
		if (!__sync_lock_test_and_set(locked, 1))
			return;
}

INLINE void unlock(__u32 *locked)
{
	__sync_lock_test_and_set(locked, 0);
}

/*
 * The hooks run after the socket was unlocked, so `end` may already count bytes that another thread
 * moved. Whoever comes first takes the latest place; who comes later finds its place taken and
 * takes the gap that was left below: no byte is placed twice, and none is lost.
 */
INLINE __u32 place(struct socket_state *state, struct event *event, __u32 end)
{
	struct lane *lane = &state->lanes[event->direction & 1];
	__u32 start = end - event->size;

	lock(&state->locked);
	event->before = lane->stage == RUNNING ? BEFORE_SOME
		      : lane->stage == UNBORN  ? BEFORE_UNKNOWN
		      : start == lane->end     ? BEFORE_NONE
					       : BEFORE_SOME;
	if (lane->stage == UNBORN || (lane->stage == BORN && (__s32)(start - lane->end) < 0)) {
		/* Fast open sends before the connection stands; older bytes are not known. */
		lane->gap_from = start - 65536;
		lane->gap_to = start;
		lane->end = end;
	} else if ((__s32)(start - lane->end) >= 0) {
		if (start != lane->end) {
			lane->gap_from = lane->end;
			lane->gap_to = start;
		}
		lane->end = end;
	} else if (lane->gap_to - lane->gap_from >= event->size) {
		lane->gap_to -= event->size;
		start = lane->gap_to;
	} else {
		count(COUNT_OVERLAPS);
	}
	lane->stage = RUNNING;
	unlock(&state->locked);
	return start;
}

INLINE void bear(struct lane *lane, __u32 end)
{
	if (lane->stage != UNBORN)
		return;
	lane->end = end;
	lane->stage = BORN;
}

/*
 * An inbound message opens a trace for its thread; the next outbound one on another socket takes
 * it. An answer on the same socket ends it. The id is the moment, its low 6 bits the processor.
 */
INLINE __u64 trace_of(struct thread *thread, __u64 key, struct event *event)
{
	__u64 trace = thread->trace;

	if (event->direction == RECEIVE) {
		if (!trace || thread->socket != key)
			trace = ((event->time & ~63ULL) | (bpf_get_smp_processor_id() & 63)) &
				((1ULL << 53) - 1);
		thread->trace = trace;
		thread->socket = key;
		return trace;
	}
	thread->trace = 0;
	return thread->socket == key ? 0 : trace;
}

INLINE struct scratch *scratch_of(__u32 direction)
{
	__u32 index = bpf_get_smp_processor_id() * 2 + (direction & 1);

	return bpf_map_lookup_elem(&scratches, &index);
}

INLINE __u32 generation_now(void)
{
	__u32 zero = 0;
	struct control *now = bpf_map_lookup_elem(&control, &zero);

	return now ? now->generation : 0;
}

/* To be woken is dear for both sides: the reader comes by itself, but for a ring that fills. */
INLINE __u64 wake_flag(void)
{
	__u32 what = COUNT_EVENTS;
	__u64 *events = bpf_map_lookup_elem(&counters, &what);

	if (!events || *events % LOOK_EVERY ||
	    bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) < settings.wake_bytes)
		return BPF_RB_NO_WAKEUP;
	return BPF_RB_FORCE_WAKEUP;
}

INLINE void emit(void *record, __u32 size)
{
	count(bpf_ringbuf_output(&ring, record, size, wake_flag()) ? COUNT_RING_FULL
								   : COUNT_EVENTS);
}

/*
 * The process, with its name, not the thread's: a resolver's threads are called anything. Loads
 * cost less than the helpers that do the same.
 */
INLINE void fill_process(struct event *event, struct task_struct *task)
{
	struct task_struct *leader = task->group_leader;

	event->tgid = task->tgid;
	event->tid = task->pid;
	((__u64 *)event->command)[0] = ((__u64 *)leader->comm)[0];
	((__u64 *)event->command)[1] = ((__u64 *)leader->comm)[1];
}

/* Reports one call that moved bytes; the caller asked is_shown() before. */
INLINE void report(struct sock *sk, struct socket_state *state, struct task_struct *task,
		   struct thread *thread, struct call *call)
{
	struct scratch *scratch = scratch_of(call->direction);
	__u32 generation = generation_now();

	if (!scratch)
		return;
	struct event *event = &scratch->event;
	fill_ends(event, sk);
	event->network = network_of(sk);
	if (state->verdict == UNDECIDED || state->generation != generation)
		decide(state, scratch, generation, task->tgid);
	__u32 limit = state->verdict == DECIDED ? state->limit : settings.undecided_bytes;
	if (state->verdict == MUTED || !limit)
		return;
	event->protocol = READ(sk, sk_protocol);
	event->direction = call->direction;
	event->size = call->size;
	event->sequence = 0;
	event->before = BEFORE_UNKNOWN;
	if (event->protocol == PROTOCOL_TCP)
		event->sequence = place(state, event, tcp_end(sk, call->direction) - call->skip);
	else if (!event->remote_port && call->name)
		fill_peer(event, call->name);
	event->key = state->key;
	event->time = bpf_ktime_get_ns();
	event->trace = thread ? trace_of(thread, state->key, event) : 0;
	event->kind = KIND_DATA;
	event->role = state->role;
	fill_process(event, task);
	event->captured = gather(scratch, call, limit);
	state->reported = 1;
	emit(scratch, HEADER_SIZE + at_most(event->captured, BYTES_ALL));
}

/* ---- a connection's beginning and end ---- */

INLINE __u8 role_after(int before, int after)
{
	if (after == STATE_SYN_SENT)
		return ROLE_CLIENT;
	/* A connection that is accepted is born in SYN_RECV. */
	return after == STATE_ESTABLISHED && before != STATE_SYN_SENT ? ROLE_SERVER : ROLE_UNKNOWN;
}

/* Whoever talks to a listener of a muted process is muted with it. */
INLINE void mute_listener(struct sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (bpf_map_lookup_elem(&muted_processes, &tgid))
		mute_end(network_of(sk), READ(sk, __sk_common.skc_num),
			 0);
}

INLINE void begin(struct sock *sk, struct socket_state *state, __u8 role)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (!state)
		return;
	if (role != ROLE_UNKNOWN)
		state->role = role;
	/* connect() runs in its process; the rest of the handshake anywhere. */
	if (role == ROLE_CLIENT && bpf_map_lookup_elem(&muted_processes, &tgid))
		state->verdict = MUTED;
	if (role != ROLE_CLIENT) {
		bear(&state->lanes[SEND], tcp_end(sk, SEND));
		bear(&state->lanes[RECEIVE], tcp_end(sk, RECEIVE));
	}
	/* The other end of a muted client is muted from its first byte on. */
	if (role == ROLE_UNKNOWN && state->verdict == MUTED)
		mute_end(network_of(sk), READ(sk, __sk_common.skc_num),
			 bpf_ntohs(READ(sk, __sk_common.skc_dport)));
}

/* `end` is where the stream really ended: what was not seen of it is a hole. FIN counts as one. */
INLINE void emit_close(struct event *event, struct socket_state *state, __u32 direction, __u32 end)
{
	event->direction = direction;
	event->sequence = end - 1 == state->lanes[direction].end ? end - 1 : end;
	emit(event, HEADER_SIZE);
}

INLINE void report_close(struct sock *sk, struct socket_state *state)
{
	struct event event = {};

	bpf_map_delete_elem(&verdicts, &state->key);
	if (!state->reported || state->verdict == MUTED)
		return;
	fill_ends(&event, sk);
	event.key = state->key;
	event.time = bpf_ktime_get_ns();
	event.kind = KIND_CLOSE;
	event.role = state->role;
	event.protocol = PROTOCOL_TCP;
	event.network = network_of(sk);
	emit_close(&event, state, SEND, tcp_end(sk, SEND));
	emit_close(&event, state, RECEIVE, tcp_end(sk, RECEIVE));
}
