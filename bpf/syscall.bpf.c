// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * The hook family for kernels without sock_send_length (before 6.3): the exit of every system call.
 * The arguments are still in the registers there, so that its entry need not be hooked at all. The
 * socket is found from the descriptor, by casts: helpers do not take such a pointer.
 */
#include "types.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "compat.h"
#include "events.h"

#define READ(sk, field) BPF_CORE_READ(sk, field)

INLINE __u32 network_of(struct sock *sk)
{
	return BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
}

INLINE __u32 tcp_end(struct sock *sk, __u32 direction)
{
	struct tcp_sock *tcp = (struct tcp_sock *)sk;

	if (direction == SEND)
		return BPF_CORE_READ(tcp, write_seq);
	return without_fin(BPF_CORE_READ(tcp, copied_seq), BPF_CORE_READ(tcp, rcv_nxt),
			   READ(sk, __sk_common.skc_flags));
}

#include "calls.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Inodes stand in for cookies above what a double holds of them together. */
#define KEY_OF_INODE (1ULL << 52)

/* By the socket's address: TCP sockets leave it when destroyed, others are known by their inode. */
MAP(states, BPF_MAP_TYPE_LRU_HASH, 0, 65536, __u64, struct socket_state);

struct found {
	struct sock *sk;
	__u64 inode;
};

INLINE struct found socket_at(struct task_struct *task, __u32 descriptor)
{
	struct found found = {};
	struct fdtable *table = task->files->fdt;
	struct file *file = 0;

	if (descriptor >= table->max_fds ||
	    bpf_probe_read_kernel(&file, sizeof(file), table->fd + descriptor) || !file)
		return found;
	struct inode *inode = BPF_CORE_READ(file, f_inode);
	if ((BPF_CORE_READ(inode, i_mode) & MODE_FORMAT) != MODE_SOCKET)
		return found;
	found.inode = BPF_CORE_READ(inode, i_ino);
	struct socket *socket = BPF_CORE_READ(file, private_data);
	found.sk = BPF_CORE_READ(socket, sk);
	return found;
}

INLINE struct socket_state *state_made(struct sock *sk, struct socket_state *fresh)
{
	__u64 address = (__u64)sk;

	bpf_map_update_elem(&states, &address, fresh, BPF_ANY);
	return bpf_map_lookup_elem(&states, &address);
}

INLINE struct socket_state *state_of(struct found *found)
{
	__u64 address = (__u64)found->sk;
	struct socket_state *state = bpf_map_lookup_elem(&states, &address);

	if (state && !state->inode)
		state->inode = found->inode;
	if (state && state->inode == found->inode)
		return state;
	struct scratch *scratch = scratch_of(SEND);
	struct sock *sk = found->sk;
	__u64 cookie = READ(sk, __sk_common.skc_cookie.counter);
	if (!scratch)
		return 0;
	scratch->fresh = (struct socket_state){ .inode = found->inode };
	scratch->fresh.key = cookie ? cookie : found->inode | KEY_OF_INODE;
	return state_made(sk, &scratch->fresh);
}

/* A connection's state made at its birth, where the socket may be asked for its cookie. */
INLINE struct socket_state *state_born(struct sock *sk)
{
	__u64 address = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&states, &address);

	if (state)
		return state;
	struct socket_state fresh = { .key = bpf_get_socket_cookie(sk) };
	return state_made(sk, &fresh);
}

/* What a call moved on one socket: of several messages, the one that `index` names. */
struct exit {
	struct found found;
	__u64 vector;
	__u32 direction;
	__u32 left; /* bytes of the messages that are still to come */
	__u32 drops;
};

static long measure_message(__u32 index, struct exit *exit)
{
	__u32 length = 0;

	bpf_probe_read_user(&length, sizeof(length),
			    (const void *)(exit->vector + index * MESSAGE_STRIDE +
					   sizeof(struct user_message)));
	exit->left += length;
	return 0;
}

/* Not inlined: stacks of a call chain share 512 bytes, and two copies of this would not fit. */
static __noinline int report_call(struct exit *exit, struct call *call)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct socket_state *state = state_of(&exit->found);

	if (!state)
		count(COUNT_STATE_FULL);
	if (!state || !is_shown(state, generation_now()))
		return 0;
	struct thread *thread =
		bpf_task_storage_get(&threads, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (exit->drops)
		call->buffer = 0;
	report(exit->found.sk, state, task, thread, call);
	return 0;
}

static long report_message(__u32 index, struct exit *exit)
{
	__u64 at = exit->vector + index * MESSAGE_STRIDE;
	struct call call = { .direction = exit->direction };

	bpf_probe_read_user(&call.size, sizeof(call.size),
			    (const void *)(at + sizeof(struct user_message)));
	exit->left -= call.size;
	call.skip = exit->left;
	describe_message(&call, at);
	if (call.size)
		report_call(exit, &call);
	return 0;
}

/* -1 for calls that move no bytes of a socket. Splice may be either: its source is tried first. */
INLINE int direction_of(__u64 number)
{
	switch (number) {
	case CALL_READ: case CALL_READV: case CALL_PREADV2: case CALL_SPLICE:
	case CALL_RECVFROM: case CALL_RECVMSG: case CALL_RECVMMSG:
		return RECEIVE;
	case CALL_WRITE: case CALL_WRITEV: case CALL_PWRITEV2: case CALL_SENDFILE:
	case CALL_SENDTO: case CALL_SENDMSG: case CALL_SENDMMSG:
		return SEND;
	default:
		return -1;
	}
}

INLINE __u32 flags_of(struct pt_regs *regs, __u64 number)
{
	if (number == CALL_RECVMSG)
		return ARGUMENT_3(regs);
	return number == CALL_RECVFROM || number == CALL_RECVMMSG ? ARGUMENT_4(regs) : 0;
}

INLINE int moved(struct pt_regs *regs, long result, struct exit *exit)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u64 number = CALL_NUMBER(regs);
	__u32 flags = flags_of(regs, number);
	struct call call = { .direction = exit->direction, .size = result };

	if (IS_COMPAT(task)) {
		count(COUNT_COMPAT);
		return 0;
	}
	if (flags & (MESSAGE_PEEK | MESSAGE_ERRQUEUE | MESSAGE_OOB))
		return 0;
	exit->found = socket_at(task, ARGUMENT_1(regs));
	if (!exit->found.sk && number == CALL_SPLICE) {
		exit->direction = call.direction = SEND;
		exit->found = socket_at(task, ARGUMENT_3(regs));
	}
	struct sock *sk = exit->found.sk;
	if (!sk || !is_captured(sk, result))
		return 0;
	exit->drops = flags & MESSAGE_TRUNC && READ(sk, sk_protocol) == PROTOCOL_TCP;
	if (is_vector_call(number)) {
		exit->vector = ARGUMENT_2(regs);
		bpf_loop(at_most(result, MESSAGES_MAX), measure_message, exit, 0);
		bpf_loop(at_most(result, MESSAGES_MAX), report_message, exit, 0);
		return 0;
	}
	if (!describe(&call, regs, number))
		count(COUNT_SPLICED);
	report_call(exit, &call);
	return 0;
}

SEC("tp_btf/sys_exit")
int BPF_PROG(left, struct pt_regs *regs, long result)
{
	struct exit exit = { .direction = direction_of(CALL_NUMBER(regs)) };

	if (result > 0 && CALL_NUMBER(regs) == CALL_IO_URING_ENTER)
		count(COUNT_URING_CALLS);
	if (result > 0 && exit.direction != (__u32)-1)
		moved(regs, result, &exit);
	return 0;
}

SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(changed, struct sock *sk, int before, int after)
{
	if (READ(sk, sk_protocol) != PROTOCOL_TCP)
		return 0;
	if (after == STATE_LISTEN)
		mute_listener(sk);
	if (after == STATE_ESTABLISHED || after == STATE_SYN_SENT)
		begin(sk, state_born(sk), role_after(before, after));
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int BPF_PROG(destroyed, struct sock *sk)
{
	__u64 address = (__u64)sk;
	struct socket_state *state = bpf_map_lookup_elem(&states, &address);

	if (state)
		report_close(sk, state);
	bpf_map_delete_elem(&states, &address);
	return 0;
}
