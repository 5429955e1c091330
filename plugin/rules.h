/* Explicit rules: for such a collective, size, ranks and nodes, take this.
 *
 * One rule a line, fields separated by commas; "#" begins a comment, and a byte order mark at the
 * start is passed over. The first eight are those of the example tuner that comes with NCCL, whose
 * files are read unchanged; so may be the ninth and tenth:
 *
 *     collective, from, to, algorithm, protocol, channels, nodes, ranks[, numPipeOps[, regBuff]]
 *
 *     allreduce, 0, 65536, tree, ll, -1, -1, -1
 *     allgather, 1M, 64M, ring, simple, -1, 2+, 16-64, chunk=512K
 *     allreduce, 4K, 1M, tree, ll128, 8, *, *, per=rank
 *
 * from, to      bytes, both inclusive, as NCCL passes them to a tuner (the larger buffer); with
 *               K, M, G or T (2^10 ...); -1 or * as `to`: no end, * as `from`: 0
 * channels      at most, up to 64; -1, 0 or *: NCCL's own. Left to NCCL where it would not bound them
 *               by what is connected: CollNet, NVLS on several nodes, all of NCCL 2.19 and 2.20
 * nodes, ranks  N, N-M, N+ (N or more); -1 or *: any. Nodes as NCCL counts them: hosts of one NVLink
 *               domain are one
 * numPipeOps    operations in a launch; -1 or *: any
 * regBuff       -1 or *. A rule for 0 or 1 is read and never used: ranks may differ in it, and
 *               ranks that choose differently hang
 * per=rank      from and to count bytes divided by ranks
 * chunk=SIZE    bytes a step works on, from 2K (NCCL 2.30 and later); for NVLS at most NCCL's own.
 *               NCCL asks for it by the share of one channel, by all bytes only where CollNet takes
 *               part, and the first rule for that size, algorithm and protocol answers
 *
 * A rule is for all data types. NCCL avoids rings of 8-bit floats on more than 8 ranks, whose sums lose
 * precision; a rule for rings does not.
 *
 * The first rule that matches and is to be had wins. In NCCL 2.19 and 2.20 only rules for any
 * ranks and nodes act, and none after one that is for some: it may be meant. */
#ifndef SPAN_PLUGIN_RULES_H
#define SPAN_PLUGIN_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "topo/span_status.h"

#define SPAN_RULES_MAX_BYTES (4u << 20) /* of a file */
#define SPAN_RULES_MAX       65536      /* rules of one */

/* Numbers from low to high. */
struct span_interval {
	int32_t low, high;
};

struct span_rule {
	uint64_t from, to; /* bytes, inclusive */
	uint64_t chunk;    /* 0: nothing said */
	struct span_interval nodes, ranks;
	int32_t coll, algo, proto;
	int32_t channels;   /* 0: nothing said */
	int32_t pipe_ops;   /* -1: any */
	int32_t registered; /* -1: any */
	int32_t line;
	bool per_rank;
};

struct span_rules {
	struct span_rule *rules;
	int32_t n;
	int32_t unused; /* rules that ask for regBuff */
};

/* Read rules from text; `name` is for messages, which give file, line and column.
 * Returns SPAN_EPARSE or SPAN_ENOMEM; *rules is then empty. */
span_status span_rules_parse(const char *text, size_t bytes, const char *name,
                             struct span_rules *rules);

/* The same from a file that is open. SPAN_EIO when it cannot be read. */
span_status span_rules_load(FILE *file, const char *name, struct span_rules *rules);

void span_rules_free(struct span_rules *rules);

/* Whether a rule may be used by a communicator, and then for which bytes. */
bool span_rule_matches(const struct span_rule *rule, int32_t ranks, int32_t nodes,
                       uint64_t *from, uint64_t *to);

/* Whether a rule means every communicator, and then for the same bytes. */
bool span_rule_is_for_all(const struct span_rule *rule);

/* Whether a rule may be used by some communicator, and the bytes for which it then may be. */
bool span_rule_may_match(const struct span_rule *rule, uint64_t *from, uint64_t *to);

#endif
