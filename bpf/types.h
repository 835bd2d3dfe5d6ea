/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The kernel's structures, cut down to the fields that are read. libbpf moves every access to where
 * the running kernel keeps the field (CO-RE), so no vmlinux.h of one machine is needed to build.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common { unsigned int inum; };
struct net { struct ns_common ns; };
typedef struct { struct net *net; } possible_net_t;
typedef struct { __s64 counter; } atomic64_t;
struct in6_addr { union { __be32 u6_addr32[4]; } in6_u; };

struct sock_common {
	union { struct { __be32 skc_daddr, skc_rcv_saddr; }; };
	union { struct { __be16 skc_dport; __u16 skc_num; }; };
	unsigned short skc_family;
	possible_net_t skc_net;
	unsigned long skc_flags;
	struct in6_addr skc_v6_daddr, skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u8 sk_kern_sock : 1;
};

struct tcp_sock { __u32 copied_seq, write_seq, rcv_nxt; };
struct socket { struct sock *sk; };
struct inode { unsigned short i_mode; unsigned long i_ino; };
struct file { struct inode *f_inode; void *private_data; };

struct fdtable {
	unsigned int max_fds;
	struct file **fd;
};

struct files_struct { struct fdtable *fdt; };
struct thread_info { __u32 status; };

struct task_struct {
	struct thread_info thread_info;
	struct files_struct *files;
	struct task_struct *group_leader;
	int pid, tgid;
	char comm[16];
};

struct pt_regs {
	unsigned long di, si, dx, r10, r8, ax, orig_ax;
};

#pragma clang attribute pop

/* What user space hands to system calls: laid out by the 64-bit ABI, never moved. */
struct user_iovec { __u64 base, length; };

struct user_message {
	__u64 name, name_length;
	__u64 vectors, vector_count;
	__u64 control, control_length;
	__u64 flags;
};

/* struct mmsghdr: a message and the bytes it moved. */
struct user_messages {
	struct user_message message;
	__u32 length, padding;
};

struct user_address {
	__u16 family;
	__be16 port;
	__be32 ipv4_or_flow;
	__be32 ipv6[4];
};
