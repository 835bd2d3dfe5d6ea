/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What differs between kernels and processors, each with its reason. */
#pragma once

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "types.h"

#define INLINE static __always_inline

#if defined(__TARGET_ARCH_x86)

/* arch/x86/entry/syscalls/syscall_64.tbl */
enum call_number {
	CALL_READ = 0, CALL_WRITE = 1, CALL_READV = 19, CALL_WRITEV = 20, CALL_SENDFILE = 40,
	CALL_SENDTO = 44, CALL_RECVFROM = 45, CALL_SENDMSG = 46, CALL_RECVMSG = 47,
	CALL_SPLICE = 275, CALL_RECVMMSG = 299, CALL_SENDMMSG = 307, CALL_PREADV2 = 327,
	CALL_PWRITEV2 = 328, CALL_IO_URING_ENTER = 426,
};

#define CALL_NUMBER(regs) ((regs)->orig_ax)
#define ARGUMENT_1(regs) ((regs)->di)
#define ARGUMENT_2(regs) ((regs)->si)
#define ARGUMENT_3(regs) ((regs)->dx)
#define ARGUMENT_4(regs) ((regs)->r10)
#define ARGUMENT_5(regs) ((regs)->r8)

/*
 * entry_64.S stores -ENOSYS as the answer until there is one. Any other value means that the
 * registers are not those of the call that moved the bytes: io_uring's task work runs after a call
 * that may be an unrelated read(), its workers and kernel threads have no call at all.
 */
#define INSIDE_CALL(regs) ((long)(regs)->ax == -38)

/* TS_COMPAT: numbers and structures of this call are those of the 32-bit ABI. */
#define IS_COMPAT(task) ((task)->thread_info.status & 2)

#else
#error "compat.h knows no call numbers and registers for this processor yet"
#endif

/*
 * From 5.6 (bf9765145b85) sk_protocol is a u16 of its own; before, a bitfield that BTF-typed loads
 * cannot name. Older kernels than 5.8 have no BPF ring buffer and are not supported at all.
 */
#define MESSAGE_OOB 0x1
#define MESSAGE_PEEK 0x2
#define MESSAGE_TRUNC 0x20
#define MESSAGE_ERRQUEUE 0x2000

#define FAMILY_UNIX 1
#define FAMILY_INET 2
#define FAMILY_INET6 10
#define PROTOCOL_TCP 6
#define PROTOCOL_UDP 17

/* 1 << SOCK_DONE of skc_flags: the peer's FIN has come (tcp_fin()). */
#define FLAG_DONE 2

#define STATE_ESTABLISHED 1
#define STATE_SYN_SENT 2
#define STATE_LISTEN 10

#define MODE_FORMAT 0170000
#define MODE_SOCKET 0140000

/* A receive that meets the peer's FIN steps over it: one more than the bytes it answers. */
INLINE __u32 without_fin(__u32 copied, __u32 next, unsigned long flags)
{
	return flags & FLAG_DONE && copied == next ? copied - 1 : copied;
}
