/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * What both hook families do with a call that moved bytes on a socket. The including file defines
 * READ(sk, field): a plain load where the verifier trusts the pointer, a probe read elsewhere;
 * network_of(sk); copy_command(event); and tcp_end(sk, direction), the sequence number after the
 * last byte moved.
 */
#ifndef METAFLOW_CAPTURE_H
#define METAFLOW_CAPTURE_H

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "compat.h"
#include "maps.h"

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

static __always_inline void count_more(__u32 what, __u64 amount)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);
	if (value)
		*value += amount;
}

static __always_inline void count(__u32 what)
{
	count_more(what, 1);
}

/* Stops the compiler from reasoning about a value that the verifier must see compared. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

static __always_inline __u32 at_most(__u64 value, __u32 bound)
{
	OPAQUE(value);
	if (value > bound)
		value = bound;
	return value;
}

/* ---- which bytes ---- */

static __always_inline __u32 copy_user(__u8 *to, __u64 from, __u32 length)
{
	return bpf_probe_read_user(to, length, (const void *)from) ? 0 : length;
}

static __always_inline __u32 gather_vectors(struct scratch *scratch, struct call *call, __u32 want)
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
		if (copy_user(scratch->bytes + (done & (BYTES_ALL - 1)), vectors[i].base, bounded) !=
		    bounded)
			return done;
		done += bounded;
	}
	if (done < want)
		count(COUNT_IOVECS_CUT);
	return done;
}

static __always_inline __u32 gather(struct scratch *scratch, struct call *call, __u32 limit)
{
	__u32 want = at_most(call->size, BYTES_ALL);
	__u32 done;

	if (want > limit)
		want = limit;
	if (!call->buffer || !want)
		return 0;
	if (call->vectors) {
		done = gather_vectors(scratch, call, want);
	} else {
		if (want > call->length)
			want = call->length;
		done = copy_user(scratch->bytes, call->buffer, at_most(want, BYTES_ALL));
	}
	if (!done && want)
		count(COUNT_UNREADABLE);
	return at_most(done, BYTES_ALL);
}

/* ---- whose bytes ---- */

static __always_inline bool is_mapped(const __be32 *address)
{
	return !address[0] && !address[1] && address[2] == bpf_htonl(0xffff);
}

static __always_inline void copy_address(__u8 *to, const __be32 *from, bool ipv4)
{
	__u32 *words = (__u32 *)to;

	words[0] = ipv4 ? from[3] : from[0];
	words[1] = ipv4 ? 0 : from[1];
	words[2] = ipv4 ? 0 : from[2];
	words[3] = ipv4 ? 0 : from[3];
}

static __always_inline void fill_ends(struct event *event, struct sock *sk)
{
	__be32 local[4] = {}, remote[4] = {};
	bool ipv4 = true;

	event->local_port = READ(sk, __sk_common.skc_num);
	event->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	if (READ(sk, __sk_common.skc_family) == FAMILY_INET6) {
		for (int i = 0; i < 4; i++) {
			local[i] = READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
			remote[i] = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
		}
		ipv4 = is_mapped(remote) || is_mapped(local);
	} else {
		local[3] = READ(sk, __sk_common.skc_rcv_saddr);
		remote[3] = READ(sk, __sk_common.skc_daddr);
	}
	event->ipv4 = ipv4;
	copy_address(event->local, local, ipv4);
	copy_address(event->remote, remote, ipv4);
}

/* The peer of an unconnected datagram, as the call names it. */
static __always_inline void fill_peer(struct event *event, __u64 name)
{
	struct user_address address = {};

	if (bpf_probe_read_user(&address, 16, (const void *)name))
		return;
	if (address.family == FAMILY_INET) {
		if (!event->ipv4)
			copy_address(event->local, (__be32 *)event->local, true);
		event->ipv4 = true;
		address.ipv6[3] = address.ipv4_or_flow;
	} else if (address.family == FAMILY_INET6 &&
		   !bpf_probe_read_user(&address, sizeof(address), (const void *)name)) {
		bool ipv4 = is_mapped(address.ipv6);
		if (ipv4 && !event->ipv4)
			copy_address(event->local, (__be32 *)event->local, true);
		event->ipv4 = ipv4;
	} else {
		return;
	}
	event->remote_port = bpf_ntohs(address.port);
	copy_address(event->remote, address.ipv6, event->ipv4);
}

/* Unix sockets are counted, not shown. */
static __always_inline bool is_captured(struct sock *sk, __u64 bytes)
{
	__u16 family = READ(sk, __sk_common.skc_family);
	__u16 protocol = READ(sk, sk_protocol);

	if ((family == FAMILY_INET || family == FAMILY_INET6) &&
	    (protocol == PROTOCOL_TCP || protocol == PROTOCOL_UDP))
		return true;
	count(family == FAMILY_UNIX ? COUNT_UNIX_MESSAGES : COUNT_UNSUPPORTED);
	if (family == FAMILY_UNIX)
		count_more(COUNT_UNIX_BYTES, bytes);
	return false;
}

/* ---- verdicts and mutes ---- */

static __always_inline __u64 end_of(__u32 network, __u16 port, __u16 other)
{
	return (__u64)network << 32 | (__u32)port << 16 | other;
}

static __always_inline void mute_end(__u32 network, __u16 port, __u16 other)
{
	__u64 end = end_of(network, port, other);
	__u8 yes = 1;

	bpf_map_update_elem(&muted_ends, &end, &yes, BPF_ANY);
}

/* True where both ends may be on this host: the other's mute then counts here. */
static __always_inline bool is_local(struct event *event)
{
	__u64 *local = (__u64 *)event->local, *remote = (__u64 *)event->remote;

	if (event->ipv4 ? event->remote[0] == 127 : !remote[0] && remote[1] == bpf_cpu_to_be64(1))
		return true;
	return local[0] == remote[0] && local[1] == remote[1];
}

/* The event's ends and network must be filled. */
static __always_inline bool is_muted(struct event *event, __u32 tgid)
{
	__u64 listener = end_of(event->network, event->remote_port, 0);
	__u64 pair = listener | event->local_port;

	if (bpf_map_lookup_elem(&muted_processes, &tgid)) {
		if (event->remote_port)
			mute_end(event->network, event->local_port, event->remote_port);
		return true;
	}
	return event->remote_port && is_local(event) &&
	       (bpf_map_lookup_elem(&muted_ends, &listener) ||
		bpf_map_lookup_elem(&muted_ends, &pair));
}

/* Reads a socket's verdict again: it has none yet, or some verdict or mute has changed. */
static __always_inline void decide(struct socket_state *state, struct scratch *scratch,
				   __u32 generation, __u32 tgid)
{
	if (state->generation != generation) {
		state->generation = generation;
		if (is_muted(&scratch->event, tgid)) {
			state->verdict = MUTED;
			return;
		}
	}
	__u32 *limit = bpf_map_lookup_elem(&verdicts, &state->key);
	if (!limit)
		return;
	if (!*limit)
		state->seen = bpf_jiffies64();
	state->limit = *limit;
	state->verdict = DECIDED;
}

/* An ignored socket: true once it was quiet for long, and is then like a new one. */
static __always_inline bool tried_again(struct socket_state *state)
{
	__u64 now = bpf_jiffies64();
	bool quiet = now - state->seen > settings.quiet_ticks;

	state->seen = now;
	if (quiet) {
		state->verdict = UNDECIDED;
		bpf_map_delete_elem(&verdicts, &state->key);
	}
	return quiet;
}

/* The cheap answer, for most calls the only thing done: 0 where the socket shows nothing. */
static __always_inline bool is_shown(struct socket_state *state, __u32 generation)
{
	if (state->verdict == MUTED)
		return false;
	if (state->verdict == DECIDED && !state->limit && state->generation == generation)
		return tried_again(state);
	return true;
}

/* ---- where in the stream, and of which trace ---- */

/*
 * bpf_spin_lock is refused in an LRU map, and to tracing programs of older kernels. Whoever holds
 * this one is never interrupted for long; after LOCK_TRIES one goes on without it.
 */
static __always_inline void lock(__u32 *locked)
{
	for (int i = 0; i < LOCK_TRIES; i++)
		if (!__sync_lock_test_and_set(locked, 1))
			return;
}

static __always_inline void unlock(__u32 *locked)
{
	__sync_lock_test_and_set(locked, 0);
}

/*
 * The hooks run after the socket was unlocked, so `end` may already count bytes that another thread
 * moved. Whoever comes first takes the latest place; who comes later finds its place taken and
 * takes the gap that was left below: no byte is placed twice, and none is lost.
 */
static __always_inline __u32 place(struct socket_state *state, struct event *event, __u32 end)
{
	struct lane *lane = &state->lanes[event->direction & 1];
	__u32 start = end - event->size;

	lock(&state->locked);
	event->before = lane->stage == RUNNING ? BEFORE_SOME
		      : lane->stage == UNBORN  ? BEFORE_UNKNOWN
		      : start == lane->end     ? BEFORE_NONE
					       : BEFORE_SOME;
	if (lane->stage == UNBORN || (lane->stage == BORN && (__s32)(start - lane->end) < 0)) {
		/* Fast open sends before the connection is established; older bytes are not known. */
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

static __always_inline void bear(struct lane *lane, __u32 end)
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
static __always_inline __u64 trace_of(struct thread *thread, __u64 key, struct event *event)
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

static __always_inline struct scratch *scratch_of(__u32 direction)
{
	__u32 index = bpf_get_smp_processor_id() * 2 + (direction & 1);

	return bpf_map_lookup_elem(&scratches, &index);
}

static __always_inline __u32 generation_now(void)
{
	__u32 zero = 0;
	struct control *now = bpf_map_lookup_elem(&control, &zero);

	return now ? now->generation : 0;
}

static __always_inline void emit(void *record, __u32 size)
{
	count(bpf_ringbuf_output(&ring, record, size, BPF_RB_NO_WAKEUP) ? COUNT_RING_FULL
									: COUNT_EVENTS);
}

/* Reports one call that moved bytes; the caller asked is_shown() before. */
static __always_inline void report(struct sock *sk, struct socket_state *state,
				   struct thread *thread, struct call *call)
{
	struct scratch *scratch = scratch_of(call->direction);
	__u64 id = bpf_get_current_pid_tgid();
	__u32 generation = generation_now();

	if (!scratch)
		return;
	struct event *event = &scratch->event;
	fill_ends(event, sk);
	event->network = network_of(sk);
	if (state->verdict == UNDECIDED || state->generation != generation)
		decide(state, scratch, generation, id >> 32);
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
	event->tgid = id >> 32;
	event->tid = id;
	event->kind = KIND_DATA;
	event->role = state->role;
	copy_command(event);
	event->captured = gather(scratch, call, limit);
	state->reported = 1;
	emit(scratch, HEADER_SIZE + at_most(event->captured, BYTES_ALL));
}

/* ---- a connection's beginning and end ---- */

static __always_inline __u8 role_after(int before, int after)
{
	if (after == STATE_SYN_SENT)
		return ROLE_CLIENT;
	/* A connection that is accepted is born in SYN_RECV. */
	return after == STATE_ESTABLISHED && before != STATE_SYN_SENT ? ROLE_SERVER : ROLE_UNKNOWN;
}

/* Whoever talks to a listener of a muted process is muted with it. */
static __always_inline void mute_listener(struct sock *sk)
{
	__u32 tgid = bpf_get_current_pid_tgid() >> 32;

	if (bpf_map_lookup_elem(&muted_processes, &tgid))
		mute_end(network_of(sk), READ(sk, __sk_common.skc_num),
			 0);
}

static __always_inline void begin(struct sock *sk, struct socket_state *state, __u8 role)
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
static __always_inline void emit_close(struct event *event, struct socket_state *state,
				       __u32 direction, __u32 end)
{
	event->direction = direction;
	event->sequence = end - 1 == state->lanes[direction].end ? end - 1 : end;
	emit(event, HEADER_SIZE);
}

static __always_inline void report_close(struct sock *sk, struct socket_state *state)
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

#endif
