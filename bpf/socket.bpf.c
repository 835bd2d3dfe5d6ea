// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The cheaper hook family (Linux 6.3 and later): sock_send_length and sock_recv_length fire once a
 * message with the socket in hand. Other system calls cost nothing.
 */
#include "types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "compat.h"
#include "events.h"

#define READ(sk, field) ((sk)->field)

INLINE __u32 network_of(struct sock *sk)
{
	return sk->__sk_common.skc_net.net->ns.inum;
}

INLINE __u32 tcp_end(struct sock *sk, __u32 direction)
{
	struct tcp_sock *tcp = bpf_skc_to_tcp_sock(sk);
	unsigned long flags = sk->__sk_common.skc_flags;

	if (!tcp)
		return 0;
	return direction == SEND ? tcp->write_seq
				 : without_fin(tcp->copied_seq, tcp->rcv_nxt, flags);
}

#include "calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

MAP(states, BPF_MAP_TYPE_SK_STORAGE, BPF_F_NO_PREALLOC, 0, int, struct socket_state);

INLINE struct socket_state *state_of(struct sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&states, sk, 0, 0);

	if (state)
		return state;
	state = bpf_sk_storage_get(&states, sk, 0, BPF_SK_STORAGE_GET_F_CREATE);
	if (!state)
		return 0;
	state->key = bpf_get_socket_cookie(sk);
	/* The kernel's own clients (NFS, …) send within a traced program's unrelated call. */
	if (BPF_CORE_READ_BITFIELD(sk, sk_kern_sock))
		state->verdict = MUTED;
	return state;
}

/*
 * sendmmsg and recvmmsg run the hook for each message without its number. It is the one after the
 * last, as long as the call goes on: its end is the last message, an error, or a short write. The
 * entry before must carry the length that was seen there.
 */
INLINE __u32 next_index(struct call *call, struct pt_regs *regs, struct thread *thread, __u64 key)
{
	__u64 vector = ARGUMENT_2(regs);
	__u32 index = 0, before = 0;

	if (thread->vector == vector && thread->vector_socket == key &&
	    thread->next < ARGUMENT_3(regs) && thread->next < MESSAGES_MAX)
		index = thread->next;
	if (index && (bpf_probe_read_user(&before, sizeof(before),
					  (const void *)(vector + (index - 1) * MESSAGE_STRIDE +
							 sizeof(struct user_message))) ||
		      before != thread->last))
		index = 0;
	thread->vector = index + 1 < ARGUMENT_3(regs) ? vector : 0;
	thread->vector_socket = key;
	thread->next = index + 1;
	thread->last = call->size;
	return index;
}

INLINE void describe_next(struct call *call, struct pt_regs *regs, struct thread *thread, __u64 key)
{
	__u32 index = next_index(call, regs, thread, key);
	struct user_iovec vectors[IOVECS_MAX] = {};
	__u64 offered = 0;

	describe_message(call, ARGUMENT_2(regs) + index * MESSAGE_STRIDE);
	if (call->direction == RECEIVE || call->vectors > IOVECS_MAX ||
	    bpf_probe_read_user(vectors, at_most(call->vectors, IOVECS_MAX) * sizeof(vectors[0]),
				(const void *)call->buffer))
		return;
	for (int i = 0; i < IOVECS_MAX; i++)
		offered += vectors[i].length;
	if (call->size < offered)
		thread->vector = 0;
}

/* A call that moved nothing: it ends a vector of messages, or is an empty one in its middle. */
INLINE int nothing(struct sock *sk, int result, __u32 direction)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	struct call call = { .direction = direction };

	if (!is_vector_call(CALL_NUMBER(regs)))
		return 0;
	struct thread *thread = bpf_task_storage_get(&threads, task, 0, 0);
	if (!thread)
		return 0;
	if (result < 0)
		thread->vector = 0;
	else
		next_index(&call, regs, thread, thread->vector_socket);
	return 0;
}

INLINE void describe_call(struct call *call, struct task_struct *task,
			  struct thread *thread, __u64 key)
{
	struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(task);
	__u64 number = CALL_NUMBER(regs);

	if (!INSIDE_CALL(regs))
		count(COUNT_ASYNC);
	else if (IS_COMPAT(task))
		count(COUNT_COMPAT);
	else if (is_vector_call(number) && thread)
		describe_next(call, regs, thread, key);
	else if (!describe(call, regs, number))
		count(number == CALL_SENDFILE || number == CALL_SPLICE ? COUNT_SPLICED
								      : COUNT_ASYNC);
	/* The hook runs before the peer's address is copied out: an older one lies there. */
	if (call->direction == RECEIVE)
		call->name = 0;
}

INLINE int moved(struct sock *sk, int result, int flags, __u32 direction)
{
	if (result <= 0)
		return nothing(sk, result, direction);
	if (flags & (MESSAGE_PEEK | MESSAGE_ERRQUEUE | MESSAGE_OOB))
		return 0;
	if (!is_captured(sk, result))
		return 0;
	struct socket_state *state = state_of(sk);
	if (!state)
		count(COUNT_STATE_FULL);
	if (!state || !is_shown(state, generation_now()))
		return 0;
	struct task_struct *task = bpf_get_current_task_btf();
	struct thread *thread =
		bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	struct call call = { .direction = direction, .size = result };
	describe_call(&call, task, thread, state->key);
	/* MSG_TRUNC on TCP drops the bytes instead of copying them. */
	if (flags & MESSAGE_TRUNC && sk->sk_protocol == PROTOCOL_TCP)
		call.buffer = 0;
	report(sk, state, task, thread, &call);
	return 0;
}

SEC("tp_btf/sock_send_length")
int BPF_PROG(sent, struct sock *sk, int result, int flags)
{
	return moved(sk, result, 0, SEND);
}

SEC("tp_btf/sock_recv_length")
int BPF_PROG(received, struct sock *sk, int result, int flags)
{
	return moved(sk, result, flags, RECEIVE);
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(changed, struct sock *sk, int before, int after)
{
	if (sk->sk_protocol != PROTOCOL_TCP)
		return 0;
	if (after == STATE_LISTEN)
		mute_listener(sk);
	if (after == STATE_ESTABLISHED || after == STATE_SYN_SENT)
		begin(sk, state_of(sk), role_after(before, after));
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroyed, struct sock *sk)
{
	struct socket_state *state = bpf_sk_storage_get(&states, sk, 0, 0);

	if (state)
		report_close(sk, state);
	return 0;
}
