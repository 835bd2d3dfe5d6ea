/* SPDX-License-Identifier: Apache-2.0 */
/* Every system call that moves a socket's bytes. */
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/sendfile.h>

#include "truth.h"

static uint8_t one[4096], two[4096];

static void read_write(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	for (unsigned round = 1; round <= 3; round++) {
		fill(one, 300 * round, round);
		put(pair[0], one, 300 * round);
		take(pair[1], 300 * round);
		put(pair[1], one, 10 * round);
		take(pair[0], 10 * round);
	}
}

static int vectors(struct iovec *to, int count, uint8_t *bytes, size_t each)
{
	for (int i = 0; i < count; i++)
		to[i] = (struct iovec){ bytes + i * each, i == 1 ? 0 : each };
	return (count - 1) * each;
}

/* What lies in the vectors, put together: the second one is empty. */
static void moved_vectors(int fd, char direction, struct iovec *from, int count, size_t size)
{
	uint8_t flat[8192];
	size_t done = 0;

	for (int i = 0; i < count; i++) {
		memcpy(flat + done, from[i].iov_base, from[i].iov_len);
		done += from[i].iov_len;
	}
	moved(fd, direction, flat, size);
}

static void readv_writev(const char *transport)
{
	struct iovec out[4], in[3];
	int pair[2], size = vectors(out, 4, one, 50);

	make_pair(transport, pair);
	fill(one, sizeof(one), 2);
	must(writev(pair[0], out, 4) == size, "writev");
	moved_vectors(pair[0], SEND, out, 4, size);
	vectors(in, 3, two, 100);
	must(readv(pair[1], in, 3) == size, "readv");
	moved_vectors(pair[1], RECEIVE, in, 3, size);
	must(pwritev2(pair[0], out, 4, -1, 0) == size, "pwritev2");
	moved_vectors(pair[0], SEND, out, 4, size);
	must(preadv2(pair[1], in, 3, -1, 0) == size, "preadv2");
	moved_vectors(pair[1], RECEIVE, in, 3, size);
}

/* More vectors than are gathered: 20 bytes each, the second empty. */
static void many_vectors(const char *transport)
{
	struct iovec out[12];
	int pair[2], size = vectors(out, 12, one, 20);

	make_pair(transport, pair);
	fill(one, sizeof(one), 3);
	must(writev(pair[0], out, 12) == size, "writev");
	moved_vectors(pair[0], SEND, out, 12, size);
	take(pair[1], size);
}

static void send_recv(const char *transport)
{
	int pair[2];

	make_pair(transport, pair);
	fill(one, 400, 4);
	must(send(pair[0], one, 400, MSG_NOSIGNAL) == 400, "send");
	moved(pair[0], SEND, one, 400);
	must(recv(pair[1], two, sizeof(two), 0) == 400, "recv");
	moved(pair[1], RECEIVE, two, 400);
	must(sendto(pair[1], one, 77, 0, NULL, 0) == 77, "sendto");
	moved(pair[1], SEND, one, 77);
	must(recvfrom(pair[0], two, 77, MSG_WAITALL, NULL, NULL) == 77, "recvfrom");
	moved(pair[0], RECEIVE, two, 77);
}

static void sendmsg_recvmsg(const char *transport)
{
	struct iovec out[3], in[2];
	struct msghdr sent = { .msg_iov = out, .msg_iovlen = 3 };
	struct msghdr got = { .msg_iov = in, .msg_iovlen = 2 };
	int pair[2], size = vectors(out, 3, one, 200);

	make_pair(transport, pair);
	fill(one, sizeof(one), 5);
	must(sendmsg(pair[0], &sent, 0) == size, "sendmsg");
	moved_vectors(pair[0], SEND, out, 3, size);
	vectors(in, 2, two, 400);
	must(recvmsg(pair[1], &got, 0) == size, "recvmsg");
	moved_vectors(pair[1], RECEIVE, in, 1, size);
}

#define BATCH 8
static struct mmsghdr batch[BATCH];
static struct iovec batch_vectors[BATCH][2];

static void prepare(uint8_t *bytes, int count, size_t first)
{
	for (int i = 0; i < count; i++) {
		size_t size = first + i;
		batch_vectors[i][0] = (struct iovec){ bytes + i * 128, size / 2 };
		batch_vectors[i][1] = (struct iovec){ bytes + i * 128 + size / 2, size - size / 2 };
		batch[i].msg_hdr = (struct msghdr){ .msg_iov = batch_vectors[i], .msg_iovlen = 2 };
	}
}

/* Rounds of different numbers over the same vector, as servers use it. */
static void sendmmsg_recvmmsg(const char *transport)
{
	static const int rounds[] = { 3, 1, 5, 2, 2, 8, 1, 1, 3, 3, 3 };
	bool stream = transport[0] == 't';
	int pair[2];

	make_pair(transport, pair);
	for (unsigned round = 0; round < sizeof(rounds) / sizeof(rounds[0]); round++) {
		int count = rounds[round];
		fill(one, sizeof(one), round);
		prepare(one, count, 40);
		must(sendmmsg(pair[0], batch, count, 0) == count, "sendmmsg");
		size_t total = 0;
		for (int i = 0; i < count; i++) {
			moved(pair[0], SEND, one + i * 128, batch[i].msg_len);
			total += batch[i].msg_len;
		}
		if (stream) {
			take(pair[1], total);
			continue;
		}
		prepare(two, BATCH, 100);
		must(recvmmsg(pair[1], batch, BATCH, MSG_DONTWAIT, NULL) == count, "recvmmsg");
		for (int i = 0; i < count; i++)
			moved(pair[1], RECEIVE, two + i * 128, batch[i].msg_len);
	}
}

static int file_of(size_t size)
{
	int fd = memfd_create("truth", 0);

	fill(one, size, 6);
	must(write(fd, one, size) == (ssize_t)size, "file");
	must(!lseek(fd, 0, SEEK_SET), "seek");
	return fd;
}

static void send_file(const char *transport)
{
	int pair[2], file = file_of(3000);

	make_pair(transport, pair);
	put(pair[0], "head", 4);
	must(sendfile(pair[0], file, NULL, 3000) == 3000, "sendfile");
	moved_unseen(pair[0], SEND, 3000);
	put(pair[0], "tail", 4);
	take(pair[1], 3008);
}

static void splice_both(const char *transport)
{
	int pair[2], pipes[2], file = file_of(500);

	make_pair(transport, pair);
	must(!pipe(pipes), "pipe");
	must(splice(file, NULL, pipes[1], NULL, 500, 0) == 500, "splice from the file");
	must(splice(pipes[0], NULL, pair[0], NULL, 500, 0) == 500, "splice to the socket");
	moved_unseen(pair[0], SEND, 500);
	must(splice(pair[1], NULL, pipes[1], NULL, 500, 0) == 500, "splice from the socket");
	moved_unseen(pair[1], RECEIVE, 500);
	put(pair[0], "after", 5);
	take(pair[1], 5);
}

struct uring {
	int fd;
	unsigned *tail, *head, *done_head, *done_tail;
	struct io_uring_sqe *entries;
	struct io_uring_cqe *done;
	unsigned mask, done_mask;
};

static void uring_open(struct uring *uring)
{
	struct io_uring_params setup = {};
	uring->fd = syscall(SYS_io_uring_setup, 8, &setup);
	must(uring->fd >= 0, "io_uring_setup");
	uint8_t *queue = mmap(NULL, setup.sq_off.array + 8 * 4, PROT_READ | PROT_WRITE, MAP_SHARED,
			      uring->fd, IORING_OFF_SQ_RING);
	uint8_t *done = mmap(NULL, setup.cq_off.cqes + 16 * sizeof(struct io_uring_cqe),
			     PROT_READ | PROT_WRITE, MAP_SHARED, uring->fd, IORING_OFF_CQ_RING);
	uring->entries = mmap(NULL, 8 * sizeof(struct io_uring_sqe), PROT_READ | PROT_WRITE,
			      MAP_SHARED, uring->fd, IORING_OFF_SQES);
	uring->tail = (unsigned *)(queue + setup.sq_off.tail);
	uring->mask = *(unsigned *)(queue + setup.sq_off.ring_mask);
	for (unsigned i = 0; i < 8; i++)
		((unsigned *)(queue + setup.sq_off.array))[i] = i;
	uring->done_head = (unsigned *)(done + setup.cq_off.head);
	uring->done_tail = (unsigned *)(done + setup.cq_off.tail);
	uring->done_mask = *(unsigned *)(done + setup.cq_off.ring_mask);
	uring->done = (struct io_uring_cqe *)(done + setup.cq_off.cqes);
}

static void uring_submit(struct uring *uring, int operation, int fd, unsigned size, int flags)
{
	struct io_uring_sqe *entry = &uring->entries[*uring->tail & uring->mask];

	*entry = (struct io_uring_sqe){ .opcode = operation, .fd = fd, .len = size, .flags = flags,
					.addr = (uint64_t)(operation == IORING_OP_SEND ? one : two) };
	__atomic_store_n(uring->tail, *uring->tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, uring->fd, 1, 0, 0, NULL, 0) == 1, "io_uring_enter");
}

static int uring_wait(struct uring *uring)
{
	must(syscall(SYS_io_uring_enter, uring->fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0) >= 0,
	     "io_uring_enter");
	must(*uring->done_head != __atomic_load_n(uring->done_tail, __ATOMIC_ACQUIRE), "completion");
	int result = uring->done[*uring->done_head & uring->done_mask].res;
	__atomic_store_n(uring->done_head, *uring->done_head + 1, __ATOMIC_RELEASE);
	return result;
}

/* Inline, by task work at the end of an unrelated read, and by a worker thread. */
static void io_uring(const char *transport)
{
	struct uring uring;
	int pair[2], pipes[2];

	make_pair(transport, pair);
	uring_open(&uring);
	fill(one, 600, 7);
	uring_submit(&uring, IORING_OP_SEND, pair[0], 600, 0);
	must(uring_wait(&uring) == 600, "uring send");
	moved_unseen(pair[0], SEND, 600);
	uring_submit(&uring, IORING_OP_RECV, pair[1], 600, 0);
	must(uring_wait(&uring) == 600, "uring recv");
	moved_unseen(pair[1], RECEIVE, 600);
	uring_submit(&uring, IORING_OP_RECV, pair[1], 600, 0);
	put(pair[0], one, 600);
	must(!pipe(pipes) && write(pipes[1], "decoy", 5) == 5, "pipe");
	must(read(pipes[0], two, 5) == 5, "read");
	must(uring_wait(&uring) == 600, "uring recv by task work");
	moved_unseen(pair[1], RECEIVE, 600);
	uring_submit(&uring, IORING_OP_SEND, pair[0], 600, IOSQE_ASYNC);
	must(uring_wait(&uring) == 600, "uring send by a worker");
	moved_unseen(pair[0], SEND, 600);
	take(pair[1], 600);
}

static void aio(const char *transport)
{
	int pair[2];
	aio_context_t context = 0;
	struct io_event done;
	struct iocb request = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_nbytes = 90,
				.aio_buf = (uint64_t)one };
	struct iocb *requests[] = { &request };

	make_pair(transport, pair);
	request.aio_fildes = pair[0];
	must(!syscall(SYS_io_setup, 4, &context), "io_setup");
	must(syscall(SYS_io_submit, context, 1, requests) == 1, "io_submit");
	must(syscall(SYS_io_getevents, context, 1, 1, &done, NULL) == 1 && done.res == 90, "aio");
	moved_unseen(pair[0], SEND, 90);
	take(pair[1], 90);
}

const struct scenario calls[] = {
	{ "read_write", read_write },
	{ "readv_writev", readv_writev },
	{ "many_vectors", many_vectors },
	{ "send_recv", send_recv },
	{ "sendmsg_recvmsg", sendmsg_recvmsg },
	{ "sendmmsg_recvmmsg", sendmmsg_recvmmsg },
	{ "sendfile", send_file },
	{ "splice", splice_both },
	{ "io_uring", io_uring },
	{ "aio", aio },
	{ NULL, NULL },
};
