/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Where a system call's arguments say that the bytes are. */
#pragma once

#include "capture.h"

#define MESSAGE_STRIDE sizeof(struct user_messages)

INLINE void describe_message(struct call *call, __u64 at)
{
	struct user_message message = {};

	if (bpf_probe_read_user(&message, sizeof(message), (const void *)at)) {
		count(COUNT_UNREADABLE);
		return;
	}
	call->buffer = message.vectors;
	call->vectors = at_most(message.vector_count, MESSAGES_MAX);
	call->name = message.name;
}

/* False where the call's arguments do not say which bytes were moved in that direction. */
INLINE bool describe(struct call *call, struct pt_regs *regs, __u64 number)
{
	bool sends = call->direction == SEND;

	call->buffer = ARGUMENT_2(regs);
	if (number == (sends ? CALL_WRITE : CALL_READ)) {
		call->length = ARGUMENT_3(regs);
	} else if (number == (sends ? CALL_SENDTO : CALL_RECVFROM)) {
		call->length = ARGUMENT_3(regs);
		call->name = ARGUMENT_5(regs);
	} else if (number == (sends ? CALL_WRITEV : CALL_READV) ||
		   number == (sends ? CALL_PWRITEV2 : CALL_PREADV2)) {
		call->vectors = ARGUMENT_3(regs);
	} else if (number == (sends ? CALL_SENDMSG : CALL_RECVMSG)) {
		call->buffer = 0;
		describe_message(call, ARGUMENT_2(regs));
	} else {
		call->buffer = 0;
		return false;
	}
	return true;
}

INLINE bool is_vector_call(__u64 number)
{
	return number == CALL_SENDMMSG || number == CALL_RECVMMSG;
}
