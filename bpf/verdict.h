/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whose bytes they are, and whether they are shown. */
#pragma once

#include <bpf/bpf_endian.h>

#include "compat.h"
#include "maps.h"

INLINE void count_more(__u32 what, __u64 amount)
{
	__u64 *value = bpf_map_lookup_elem(&counters, &what);

	if (value)
		*value += amount;
}

#define count(what) count_more(what, 1)

/* Stops the compiler from reasoning about a value that the verifier must see compared. */
#define OPAQUE(value) asm volatile("" : "+r"(value))

INLINE __u32 at_most(__u64 value, __u32 bound)
{
	OPAQUE(value);
	if (value > bound)
		value = bound;
	return value;
}

/* ---- whose bytes ---- */

INLINE bool is_mapped(const __be32 *address)
{
	return !address[0] && !address[1] && address[2] == bpf_htonl(0xffff);
}

INLINE void copy_address(__u8 *to, const __be32 *from, bool ipv4)
{
	__u32 *words = (__u32 *)to;

	for (int i = 0; i < 4; i++)
		words[i] = ipv4 ? (i ? 0 : from[3]) : from[i];
}

INLINE void fill_ends(struct event *event, struct sock *sk)
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
INLINE void fill_peer(struct event *event, __u64 name)
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
INLINE bool is_captured(struct sock *sk, __u64 bytes)
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

INLINE __u64 end_of(__u32 network, __u16 port, __u16 other)
{
	return (__u64)network << 32 | (__u32)port << 16 | other;
}

INLINE void mute_end(__u32 network, __u16 port, __u16 other)
{
	__u64 end = end_of(network, port, other);
	__u8 yes = 1;

	bpf_map_update_elem(&muted_ends, &end, &yes, BPF_ANY);
}

/* True where both ends may be on this host: the other's mute then counts here. */
INLINE bool is_local(struct event *event)
{
	__u64 *local = (__u64 *)event->local, *remote = (__u64 *)event->remote;

	if (event->ipv4 ? event->remote[0] == 127 : !remote[0] && remote[1] == bpf_cpu_to_be64(1))
		return true;
	return local[0] == remote[0] && local[1] == remote[1];
}

/* The event's ends and network must be filled. */
INLINE bool is_muted(struct event *event, __u32 tgid)
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
INLINE void decide(struct socket_state *state, struct scratch *scratch,
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
INLINE bool tried_again(struct socket_state *state)
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
INLINE bool is_shown(struct socket_state *state, __u32 generation)
{
	if (state->verdict == MUTED)
		return false;
	if (state->verdict == DECIDED && !state->limit && state->generation == generation)
		return tried_again(state);
	return true;
}
