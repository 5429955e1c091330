#define _GNU_SOURCE /* fmemopen, open_memstream */
#include "tests/attention/attention_case.h"
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/topo/order_cases.h"

enum { GUARD_BYTES = 64, PATTERN = 0x5a, NAN_BYTE = 0xff };

/* What the ranks of a run share. */
struct run {
	const attention_case *c;
	const case_inputs *inputs;
	case_results *results;
	const span_order *order;
	pthread_mutex_t lock;
	char *fault;
};

/* A tensor of one rank and the memory it stands in. */
struct held {
	span_tensor tensor;
	int32_t heads;
	char *base;
	size_t bytes; /* of the tensor with its gaps, and guard bytes */
	uint64_t digest;
};

/* One rank's share of a run. */
struct part {
	struct run *run;
	const attention_case *c;
	span_attention *op;
	int32_t rank;
	int64_t tokens;
	int64_t *index; /* [tokens] global */
	struct held q, k, v, dout, out, dq, dk, dv;
	float *lse;
	char *workspace;
	size_t workspace_bytes;
};

__attribute__((format(printf, 2, 3)))
static void fault(struct run *run, const char *format, ...)
{
	va_list arguments;

	pthread_mutex_lock(&run->lock);
	va_start(arguments, format);
	if (!*run->fault)
		vsnprintf(run->fault, 256, format, arguments);
	va_end(arguments);
	pthread_mutex_unlock(&run->lock);
}

static int is_all(const char *data, size_t n, int byte)
{
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)data[i] != byte)
			return 0;
	return 1;
}

/* ---- tensors of a rank ---- */

static void set_strides(const attention_case *c, int64_t tokens, int32_t heads, span_tensor *t)
{
	int64_t d = c->head_size, gap = c->strides == CASE_PADDED ? 3 : 0;

	if (c->strides == CASE_BHSD) {
		t->token_stride = d;
		t->head_stride = tokens * d;
		t->batch_stride = heads * tokens * d;
	} else if (c->strides == CASE_SBHD) {
		t->head_stride = d;
		t->batch_stride = heads * d;
		t->token_stride = c->batch * heads * d;
	} else {
		t->head_stride = d + gap;
		t->token_stride = heads * t->head_stride + 2 * gap;
		t->batch_stride = tokens * t->token_stride + gap;
	}
}

static struct held hold(const attention_case *c, int64_t tokens, int32_t heads, int byte)
{
	struct held held = { .heads = heads, .tensor.dtype = c->dtype };
	const span_tensor *t = &held.tensor;

	set_strides(c, tokens, heads, &held.tensor);
	if (tokens == 0)
		return held;
	held.bytes = (size_t)((c->batch - 1) * t->batch_stride + (tokens - 1) * t->token_stride +
	                      (heads - 1) * t->head_stride + c->head_size) *
	             span_dtype_bytes(c->dtype) + GUARD_BYTES;
	held.base = malloc(held.bytes);
	memset(held.base, byte, held.bytes);
	held.tensor.data = held.base;
	return held;
}

/* What to do with a row: deal it out, put it into the whole, or wipe it away. */
enum move { DEAL, COLLECT, WIPE };

static void move_rows(const struct part *part, const struct held *held, char *whole,
                      enum move move)
{
	const attention_case *c = part->c;
	size_t element = span_dtype_bytes(c->dtype), row = (size_t)c->head_size * element;

	for (int64_t b = 0; b < c->batch; b++)
		for (int64_t i = 0; i < part->tokens; i++)
			for (int64_t h = 0; h < held->heads; h++) {
				char *here = held->base +
				             (size_t)(b * held->tensor.batch_stride +
				                      i * held->tensor.token_stride +
				                      h * held->tensor.head_stride) * element;
				size_t at = (size_t)((b * c->tokens + part->index[i]) *
				                     held->heads + h) * row;

				if (move == DEAL)
					memcpy(here, whole + at, row);
				else if (move == COLLECT)
					memcpy(whole + at, here, row);
				else
					memset(here, PATTERN, row);
			}
}

static struct held deal(const struct part *part, void *whole, int32_t heads)
{
	struct held held = hold(part->c, part->tokens, heads, NAN_BYTE);

	move_rows(part, &held, whole, DEAL);
	held.digest = span_digest(held.base, held.bytes);
	return held;
}

static void check_input(const struct part *part, const struct held *held, const char *name)
{
	if (span_digest(held->base, held->bytes) != held->digest)
		fault(part->run, "rank %d changed its input %s", part->rank, name);
}

/* Take the result, after which nothing but the pattern may be left. */
static void take_result(const struct part *part, const struct held *held, int which)
{
	static const char *const names[CASE_RESULTS] = { "out", "dq", "dk", "dv" };

	move_rows(part, held, part->run->results->tensor[which], COLLECT);
	move_rows(part, held, NULL, WIPE);
	if (!is_all(held->base, held->bytes, PATTERN))
		fault(part->run, "rank %d wrote beside the rows of %s", part->rank, names[which]);
}

static size_t lse_floats(const struct part *part)
{
	return (size_t)(part->c->batch * part->c->query_heads * part->tokens);
}

static void take_lse(const struct part *part)
{
	const attention_case *c = part->c;

	for (int64_t p = 0; p < c->batch * c->query_heads; p++)
		for (int64_t i = 0; i < part->tokens; i++)
			part->run->results->lse[p * c->tokens + part->index[i]] =
				part->lse[p * part->tokens + i];
	if (part->lse && !is_all((char *)(part->lse + lse_floats(part)), GUARD_BYTES, PATTERN))
		fault(part->run, "rank %d wrote behind lse", part->rank);
}

/* ---- one rank ---- */

span_attention_options case_options(const attention_case *c, span_transport *transport)
{
	return (span_attention_options){
		.size = sizeof(span_attention_options), .batch = c->batch,
		.query_tokens = c->tokens, .key_tokens = c->tokens,
		.query_heads = c->query_heads, .kv_heads = c->kv_heads,
		.head_size = c->head_size, .dtype = c->dtype, .scale = c->scale,
		.mask = { .size = sizeof(span_mask), .kind = c->mask }, .layout = c->layout,
		.numerics = c->numerics, .tile = c->tile, .threads = c->threads,
		.transport = transport,
		.order = c->order == CASE_ORDER_BY_HAND ? SPAN_ORDER_AUTO
		                                        : (span_order_kind)c->order,
		.way_back = c->way_back, .timeout = 40,
	};
}

static span_status open_part(struct part *part, span_transport *transport)
{
	const attention_case *c = part->c;
	const case_inputs *inputs = part->run->inputs;
	span_attention_options options = case_options(c, transport);
	const span_layout *layout;
	span_status status;

	options.custom_order = part->run->order;
	part->rank = transport ? transport->rank : 0;
	status = span_attention_create(&options, &part->op);
	if (status)
		return status;
	layout = span_attention_layout(part->op);
	part->tokens = span_layout_rank_tokens(layout, part->rank);
	part->index = malloc(sizeof(*part->index) * (size_t)part->tokens + 1);
	span_layout_indices(layout, part->rank, part->index);
	part->q = deal(part, inputs->q, c->query_heads);
	part->k = deal(part, inputs->k, c->kv_heads);
	part->v = deal(part, inputs->v, c->kv_heads);
	part->dout = deal(part, inputs->dout, c->query_heads);
	part->workspace_bytes = span_attention_workspace_bytes(part->op);
	return SPAN_OK;
}

static void close_part(struct part *part)
{
	struct held *held[] = { &part->q, &part->k, &part->v, &part->dout };

	for (int i = 0; i < 4; i++)
		free(held[i]->base);
	free(part->index);
	free(part->workspace);
	span_attention_free(part->op);
}

static void check_workspace(const struct part *part)
{
	if (!is_all(part->workspace + part->workspace_bytes, GUARD_BYTES, PATTERN))
		fault(part->run, "rank %d wrote behind its workspace", part->rank);
}

/* A workspace in which nothing is worth reading: NaN, or what valgrind knows to be undefined. */
static void make_workspace(struct part *part)
{
	if (part->workspace)
		check_workspace(part);
	free(part->workspace);
	part->workspace = aligned_alloc(64, (part->workspace_bytes + GUARD_BYTES + 63) / 64 * 64);
	if (!getenv("SPAN_TEST_VALGRIND"))
		memset(part->workspace, NAN_BYTE, part->workspace_bytes);
	memset(part->workspace + part->workspace_bytes, PATTERN, GUARD_BYTES);
}

static span_status call_both(struct part *part)
{
	const span_tensor *q = &part->q.tensor, *k = &part->k.tensor, *v = &part->v.tensor;
	const span_tensor *out = &part->out.tensor;
	span_status status;

	make_workspace(part);
	status = span_attention_forward(part->op, q, k, v, out, part->lse, part->workspace);
	if (status)
		return status;
	part->out.digest = span_digest(part->out.base, part->out.bytes);
	make_workspace(part);
	return span_attention_backward(part->op, q, k, v, out, &part->dout.tensor, part->lse,
	                               &part->dq.tensor, &part->dk.tensor, &part->dv.tensor,
	                               part->workspace);
}

static void check_pass(const struct part *part, const span_pass_statistics *p, const char *name)
{
	if (p->pairs_computed != p->pairs_planned || p->pending_used != p->pending_planned ||
	    p->returns_used != p->returns_planned || p->bytes_inside != p->bytes_inside_planned ||
	    p->bytes_between != p->bytes_between_planned)
		fault(part->run, "rank %d: %s did not do what was planned: pairs %lld of %lld, "
		      "pending %lld of %lld, returns %lld of %lld", part->rank, name,
		      (long long)p->pairs_computed, (long long)p->pairs_planned,
		      (long long)p->pending_used, (long long)p->pending_planned,
		      (long long)p->returns_used, (long long)p->returns_planned);
}

static void check_part(struct part *part)
{
	span_attention_statistics *statistics = &part->run->results->statistics[part->rank];

	check_input(part, &part->q, "q");
	check_input(part, &part->k, "k");
	check_input(part, &part->v, "v");
	check_input(part, &part->dout, "dout");
	check_input(part, &part->out, "out");
	take_result(part, &part->out, CASE_OUT);
	take_result(part, &part->dq, CASE_DQ);
	take_result(part, &part->dk, CASE_DK);
	take_result(part, &part->dv, CASE_DV);
	take_lse(part);
	check_workspace(part);
	statistics->size = sizeof(*statistics);
	span_attention_get_statistics(part->op, statistics);
	check_pass(part, &statistics->forward, "forward");
	check_pass(part, &statistics->backward, "backward");
}

/* One call of each, into fresh outputs. */
static span_status run_once(struct part *part)
{
	const attention_case *c = part->c;
	struct held *held[] = { &part->out, &part->dq, &part->dk, &part->dv };
	size_t bytes = lse_floats(part) * sizeof(float);
	span_status status;

	for (int i = 0; i < CASE_RESULTS; i++)
		*held[i] = hold(c, part->tokens, i == CASE_OUT || i == CASE_DQ ? c->query_heads
		                                                               : c->kv_heads,
		                PATTERN);
	if (part->tokens > 0) {
		part->lse = malloc(bytes + GUARD_BYTES);
		memset(part->lse, PATTERN, bytes + GUARD_BYTES);
	}
	status = call_both(part);
	if (!status)
		check_part(part);
	for (int i = 0; i < CASE_RESULTS; i++)
		free(held[i]->base);
	free(part->lse);
	part->lse = NULL;
	return status;
}

static span_status run_rank(span_transport *transport, void *argument)
{
	struct run *run = argument;
	struct part part = { .run = run, .c = run->c };
	span_status status = open_part(&part, transport);

	for (int i = 0; i < run->c->repeats && !status; i++)
		status = run_once(&part);
	close_part(&part);
	return status;
}

/* ---- all ranks ---- */

/* The sum over ranks of what the last calls sent. */
static void add_bytes(const case_results *results, int32_t ranks, uint64_t *inside,
                      uint64_t *between)
{
	*inside = *between = 0;
	for (int32_t r = 0; r < ranks; r++) {
		const span_attention_statistics *s = &results->statistics[r];

		*inside += s->forward.bytes_inside + s->backward.bytes_inside;
		*between += s->forward.bytes_between + s->backward.bytes_between;
	}
}

static span_status run_local(struct run *run, const int32_t *group)
{
	const attention_case *c = run->c;
	uint64_t inside, between, told_inside, told_between;
	span_local *local;
	span_status status = span_local_create(c->ranks, group, &local);

	if (status)
		return status;
	status = span_local_run(local, run_rank, run);
	span_local_bytes(local, &inside, &between);
	add_bytes(run->results, c->ranks, &told_inside, &told_between);
	if (!status && (inside != (uint64_t)c->repeats * told_inside ||
	                between != (uint64_t)c->repeats * told_between))
		fault(run, "the transport moved %llu and %llu bytes, the op tells of %llu and %llu",
		      (unsigned long long)inside, (unsigned long long)between,
		      (unsigned long long)told_inside, (unsigned long long)told_between);
	span_local_free(local);
	return status;
}

static span_status run_late(struct run *run, const int32_t *group)
{
	const attention_case *c = run->c;
	span_async_options options = { .ranks = c->ranks, .group = group, .seed = c->seed,
		                       .copies_only = c->transport == CASE_LATE_COPIES };
	span_async *async;
	span_status status = span_async_create(&options, &async);

	if (status)
		return status;
	status = span_async_run(async, run_rank, run);
	if (!status && span_async_outstanding(async) != 0)
		fault(run, "%lld messages were not waited for",
		      (long long)span_async_outstanding(async));
	span_async_free(async);
	return status;
}

static void choose_isa(int isa)
{
	int last = 0;

	while (span_kernels_at(last + 1))
		last++;
	setenv("SPAN_ISA", span_kernels_at(isa < last ? isa : last)->name, 1);
}

static void make_results(const attention_case *c, case_results *results)
{
	size_t row = (size_t)(c->batch * c->tokens * c->head_size) * span_dtype_bytes(c->dtype);

	*results = (case_results){ 0 };
	for (int i = 0; i < CASE_RESULTS; i++) {
		results->bytes[i] = row * (size_t)(i == CASE_OUT || i == CASE_DQ
		                                   ? c->query_heads : c->kv_heads);
		results->tensor[i] = malloc(results->bytes[i]);
		memset(results->tensor[i], PATTERN, results->bytes[i]);
	}
	results->lse_bytes = sizeof(float) * (size_t)(c->batch * c->query_heads * c->tokens);
	results->lse = malloc(results->lse_bytes);
	memset(results->lse, PATTERN, results->lse_bytes);
	results->statistics = calloc((size_t)c->ranks + 1, sizeof(*results->statistics));
}

void case_free_results(case_results *results)
{
	for (int i = 0; i < CASE_RESULTS; i++)
		free(results->tensor[i]);
	free(results->lse);
	free(results->statistics);
}

span_status case_run(const attention_case *c, const case_inputs *inputs, case_results *results,
                     char text[256])
{
	struct run run = { .c = c, .inputs = inputs, .results = results, .fault = text };
	int32_t group[CASE_MAX_RANKS];
	span_order *order = NULL;
	span_status status;

	text[0] = '\0';
	make_results(c, results);
	choose_isa(c->isa);
	pthread_mutex_init(&run.lock, NULL);
	order_case_group(c->grouping, c->ranks, group);
	if (c->order == CASE_ORDER_BY_HAND && c->ranks > 0)
		run.order = order = case_order_by_hand(c, group);
	if (c->ranks == 0)
		status = run_rank(NULL, &run);
	else if (c->transport == CASE_LOCAL)
		status = run_local(&run, group);
	else
		status = run_late(&run, group);
	span_order_free(order);
	pthread_mutex_destroy(&run.lock);
	return status;
}

/* ---- problems ---- */

/* A NaN takes all that meets it along, so special values are few, of the first head of the first
 * batch, and late: most of what an op returns must be able to tell whether it is right. */
static void make_special(const attention_case *c, case_random *random, int32_t heads, char *data)
{
	int64_t first = c->tokens - (c->tokens + 7) / 8;

	for (int i = 0; i < 3; i++) {
		int64_t token = case_between(random, (int)first, (int)c->tokens - 1);
		int64_t at = token * heads * c->head_size +
		             case_between(random, 0, c->head_size - 1);

		case_special_element(random, c->dtype,
		                     data + (size_t)at * span_dtype_bytes(c->dtype));
	}
}

static void *make_tensor(const attention_case *c, case_random *random, int32_t heads)
{
	int64_t n = c->batch * c->tokens * heads * c->head_size;
	void *data = malloc((size_t)n * span_dtype_bytes(c->dtype));

	case_fill_elements(random, c->fill == FILL_SPECIAL ? FILL_PLAIN : c->fill, c->dtype, data,
	                   n);
	if (c->fill == FILL_SPECIAL)
		make_special(c, random, heads, data);
	return data;
}

case_inputs case_make_inputs(const attention_case *c)
{
	case_random random = { (uint64_t)(c->tokens * 64 + c->head_size) };

	return (case_inputs){ .q = make_tensor(c, &random, c->query_heads),
		              .k = make_tensor(c, &random, c->kv_heads),
		              .v = make_tensor(c, &random, c->kv_heads),
		              .dout = make_tensor(c, &random, c->query_heads) };
}

void case_free_inputs(case_inputs *inputs)
{
	free(inputs->q);
	free(inputs->k);
	free(inputs->v);
	free(inputs->dout);
}

attention_case case_on_one_rank(const attention_case *c)
{
	attention_case one = *c;

	one.ranks = 0;
	one.order = SPAN_ORDER_AUTO;
	one.way_back = SPAN_RETURN_AUTO;
	one.threads = 1;
	one.isa = 2;
	one.strides = CASE_BSHD;
	one.repeats = 1;
	return one;
}

const char *case_results_differ(const case_results *a, const case_results *b)
{
	static const char *const names[CASE_RESULTS] = { "out", "dq", "dk", "dv" };

	if (memcmp(a->lse, b->lse, a->lse_bytes) != 0)
		return "lse";
	for (int i = 0; i < CASE_RESULTS; i++)
		if (memcmp(a->tensor[i], b->tensor[i], a->bytes[i]) != 0)
			return names[i];
	return NULL;
}

const char *case_describe(const attention_case *c, char text[512])
{
	snprintf(text, 512,
	         "B %lld S %lld T %d Hq %d Hkv %d D %d %s %s %s fill %d, numerics %d ranks %d "
	         "order %d grouping %d way back %d threads %d isa %d strides %d transport %d "
	         "repeats %d seed %llu", (long long)c->batch, (long long)c->tokens, c->tile,
	         c->query_heads, c->kv_heads, c->head_size, span_dtype_name(c->dtype),
	         span_mask_name(c->mask), span_layout_family_name(c->layout), (int)c->fill,
	         (int)c->numerics, c->ranks, c->order, c->grouping, (int)c->way_back, c->threads,
	         c->isa, (int)c->strides, (int)c->transport, c->repeats,
	         (unsigned long long)c->seed);
	return text;
}

/* ---- an order of random steps ---- */

/* Blocks of all ranks while steps are drawn: since is the step in which a rank received a
 * block, -1 for its own, and NEVER. */
struct drawing {
	case_random random;
	int32_t ranks;
	int16_t since[CASE_MAX_RANKS][CASE_MAX_RANKS];
	uint8_t computed[CASE_MAX_RANKS][CASE_MAX_RANKS];
	FILE *line[CASE_MAX_RANKS];
	char *text[CASE_MAX_RANKS];
	size_t bytes[CASE_MAX_RANKS];
};

enum { NEVER = 32767 };

/* One of the numbers 0 .. n-1 that fits, drawn at random; -1 when none does. */
static int32_t draw(struct drawing *d, int (*fits)(const struct drawing *, int32_t, int32_t, int),
                    int32_t of, int step)
{
	int32_t start = case_between(&d->random, 0, d->ranks - 1);

	for (int32_t i = 0; i < d->ranks; i++) {
		int32_t x = (start + i) % d->ranks;

		if (fits(d, of, x, step))
			return x;
	}
	return -1;
}

static int is_missing(const struct drawing *d, int32_t rank, int32_t block, int step)
{
	(void)step;
	return d->since[rank][block] == NEVER;
}

static int is_holder(const struct drawing *d, int32_t block, int32_t rank, int step)
{
	return d->since[rank][block] < step;
}

static int is_due(const struct drawing *d, int32_t rank, int32_t block, int step)
{
	return d->since[rank][block] < step && !d->computed[rank][block];
}

/* Draw a step of every rank; returns whether any rank has more to do. */
static int draw_step(struct drawing *d, int step)
{
	int more = 0;

	for (int32_t r = 0; r < d->ranks; r++) {
		int32_t block = draw(d, is_due, r, step);

		fprintf(d->line[r], "step %d\n", step);
		if (block >= 0) {
			fprintf(d->line[r], "compute %d\n", block);
			d->computed[r][block] = 1;
		}
	}
	for (int32_t r = 0; r < d->ranks; r++) {
		int32_t block = case_between(&d->random, 0, 3) ? draw(d, is_missing, r, step) : -1;
		int32_t from = block >= 0 ? draw(d, is_holder, block, step) : -1;

		if (block >= 0) {
			fprintf(d->line[r], "receive %d from %d\n", block, from);
			fprintf(d->line[from], "send %d to %d\n", block, r);
			d->since[r][block] = (int16_t)step;
		}
		for (int32_t b = 0; b < d->ranks; b++)
			more |= !d->computed[r][b];
	}
	return more;
}

static void begin_drawing(struct drawing *d)
{
	for (int32_t r = 0; r < d->ranks; r++) {
		for (int32_t b = 0; b < d->ranks; b++)
			d->since[r][b] = b == r ? -1 : NEVER;
		d->line[r] = open_memstream(&d->text[r], &d->bytes[r]);
	}
}

static span_order *load_text(char *text, size_t bytes)
{
	FILE *file = fmemopen(text, bytes, "r");
	span_order *order = NULL;
	span_status status = span_order_load(file, "drawn", &order);

	fclose(file);
	return status ? NULL : order;
}

span_order *case_order_by_hand(const attention_case *c, const int32_t *group)
{
	struct drawing *d = calloc(1, sizeof(*d));
	span_order *order;
	char *text;
	size_t bytes;
	FILE *all = open_memstream(&text, &bytes);

	d->random.state = c->seed;
	d->ranks = c->ranks;
	begin_drawing(d);
	for (int step = 0; draw_step(d, step); step++)
		continue;
	fprintf(all, "span-order 1\nkind pairwise\nway-back %s\nranks %d\n",
	        c->way_back == SPAN_RETURN_GROUP_FIRST ? "group-first" : "direct", c->ranks);
	for (int32_t r = 0; r < c->ranks; r++)
		fprintf(all, "group %d %d\nneed %d 0 %d\n", r, group[r], r, c->ranks - 1);
	for (int32_t r = 0; r < c->ranks; r++) {
		fclose(d->line[r]);
		fprintf(all, "rank %d\n%s", r, d->text[r]);
		free(d->text[r]);
	}
	fprintf(all, "end\n");
	fclose(all);
	order = load_text(text, bytes);
	free(text);
	free(d);
	return order;
}
