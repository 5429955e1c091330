/* The program of every rank: each row is completed once, buffers hold one thing at a time, and
 * what one rank sends is what another is told to receive. */
#include "attention/program.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "tests/topo/log_capture.h"
#include "tests/topo/order_cases.h"

struct world {
	span_visible visible;
	span_order *order;
	int32_t ranks;
	int schedule;
	span_program *program[CASE_MAX_RANKS];
	char text[128];
};

/* World number i of many that differ in everything. */
static struct world *make_world(int i)
{
	static const int32_t ranks_of[] = { 1, 2, 3, 4, 5, 7, 8, 12, 16, 32, 64 };
	static uint8_t need[CASE_MAX_RANKS * CASE_MAX_RANKS];
	int32_t group[CASE_MAX_RANKS];
	struct world *w = calloc(1, sizeof(*w));
	span_order_options options = { .size = sizeof(options), .group = group, .need = need };
	span_layout *layout = NULL;

	int64_t tiles;

	w->ranks = options.ranks = ranks_of[i % 11];
	tiles = i % 3 ? 2 + i % 37 : w->ranks + i % (w->ranks + 2);
	w->schedule = i % 2;
	options.kind = (span_order_kind)(i % 5);
	options.way_back = (span_return_kind)(i % 3);
	order_case_group(i / 2 % GROUP_CASES, w->ranks, group);
	cr_assert_eq(span_layout_create(16 * tiles, 16, (span_layout_family)(i / 4 % 2),
	                                w->ranks, &layout), SPAN_OK);
	w->visible.layout = layout;
	w->visible.mask = (span_mask){ .size = sizeof(span_mask),
				         .kind = (span_mask_kind)(i / 8 % 2) };
	for (int32_t r = 0; r < w->ranks; r++)
		for (int32_t b = 0; b < w->ranks; b++) {
			uint8_t *seen = &need[r * w->ranks + b];

			*seen = 0;
			for (int64_t x = 0; x < span_layout_rank_tiles(layout, r); x++)
				for (int64_t y = 0; y < span_layout_rank_tiles(layout, b); y++)
					*seen |= (uint8_t)span_visible_tile(
						&w->visible, span_layout_tile_at(layout, r, x),
						span_layout_tile_at(layout, b, y));
		}
	cr_assert_eq(span_order_create(&options, &w->order), SPAN_OK);
	for (int32_t r = 0; r < w->ranks; r++)
		cr_assert_eq(span_program_create(&w->visible, w->order, r, w->schedule,
		                                 &w->program[r]), SPAN_OK);
	snprintf(w->text, sizeof(w->text), "world %d: P %d n %lld order %d schedule %d", i,
	         w->ranks, (long long)span_layout_tiles(layout), (int)options.kind, w->schedule);
	return w;
}

static void free_world(struct world *w)
{
	for (int32_t r = 0; r < w->ranks; r++)
		span_program_free(w->program[r]);
	span_order_free(w->order);
	span_layout_free((span_layout *)w->visible.layout);
	free(w);
}

static void for_worlds(void (*check)(const struct world *w))
{
	for (int i = 0; i < 240; i++) {
		struct world *w = make_world(i);

		check(w);
		free_world(w);
	}
}

/* ---- rows ---- */

/* Which places of a row hold a partial that waits. */
typedef struct {
	uint8_t used[SPAN_REDUCE_PENDING];
} places;

/* An arrival at a row: a partial that is merged waits, one that is stored finds
 * its place free. Returns whether the row is complete. */
static int follow(const struct world *w, const span_program *p, const span_row_arrival *arrival,
                  places *waits)
{
	for (int32_t m = 0; m < arrival->merge.count; m++) {
		const span_merge *merge = &p->merge[arrival->merge.first + m];

		cr_assert(waits->used[merge->slot], "%s: an empty place is merged", w->text);
		waits->used[merge->slot] = 0;
	}
	if (arrival->store < 0) {
		for (int i = 0; i < SPAN_REDUCE_PENDING; i++)
			cr_assert(!waits->used[i], "%s: complete, and something waits", w->text);
		return 1;
	}
	cr_assert(!waits->used[arrival->store], "%s: a waiting partial is lost", w->text);
	waits->used[arrival->store] = 1;
	return 0;
}

static void expect_query_rows(const struct world *w)
{
	for (int32_t r = 0; r < w->ranks; r++) {
		const span_program *p = w->program[r];
		places *waits = calloc((size_t)p->tiles + 1, sizeof(*waits));
		int32_t *complete = calloc((size_t)p->tiles + 1, sizeof(*complete));

		for (int32_t t = 0; t < p->gather_steps; t++) {
			span_range range = p->step[t].arrival;

			for (int32_t i = range.first; i < range.first + range.count; i++) {
				const span_row_arrival *a = &p->arrival[i];

				cr_assert(!complete[a->row], "%s: more comes", w->text);
				cr_assert_lt(a->store, p->pending_slots);
				complete[a->row] = follow(w, p, a, &waits[a->row]);
			}
		}
		for (int32_t row = 0; row < p->tiles; row++)
			cr_assert(complete[row], "%s: rank %d row %d is never complete", w->text, r,
			          row);
		free(complete);
		free(waits);
	}
}

Test(program, every_query_tile_is_completed_once)
{
	for_worlds(expect_query_rows);
}

static void follow_range(const struct world *w, const span_program *p, span_range range,
                         places *waits, int32_t *complete)
{
	for (int32_t i = range.first; i < range.first + range.count; i++) {
		const span_row_arrival *arrival = &p->arrival[i];

		complete[arrival->row] += follow(w, p, arrival, &waits[arrival->row]);
	}
}

/* All that is added to an account, in the order of steps. */
static void follow_account(const struct world *w, const span_program *p, int32_t account,
                           places *waits, int32_t *complete)
{
	for (int32_t t = 0; t < p->steps; t++) {
		if (p->step[t].account == account)
			follow_range(w, p, p->step[t].returned, waits, complete);
		for (int32_t d = 0; d < p->deliveries; d++)
			if (p->delivery[d].account == account && p->delivery[d].step + 1 == t)
				follow_range(w, p, p->delivery[d].arrival, waits, complete);
	}
}

/* The owner completes each of its key tiles once; others pass on exactly what waits with them. */
static void expect_accounts(const struct world *w)
{
	for (int32_t r = 0; r < w->ranks; r++) {
		const span_program *p = w->program[r];

		for (int32_t a = 0; a < p->accounts; a++) {
			const span_account *account = &p->account[a];
			places *waits = calloc((size_t)account->tiles + 1, sizeof(*waits));
			int32_t *complete = calloc((size_t)account->tiles + 1, sizeof(*complete));
			int32_t waiting = 0;

			follow_account(w, p, a, waits, complete);
			for (int32_t row = 0; row < account->tiles; row++) {
				cr_assert_eq(complete[row], account->hop < 0, "%s: rank %d block %d",
				             w->text, r, account->block);
				for (int s = 0; s < SPAN_REDUCE_PENDING; s++)
					waiting += waits[row].used[s];
			}
			cr_assert_eq(waiting, account->part.count);
			for (int32_t i = 0; i < account->part.count; i++) {
				int32_t part = p->part[account->part.first + i];

				cr_assert(waits[part % account->tiles].used[part / account->tiles]);
			}
			free(complete);
			free(waits);
		}
	}
}

Test(program, the_owner_completes_each_key_tile_once)
{
	for_worlds(expect_accounts);
}

/* ---- messages ---- */

/* The account from which a delivery comes. */
static const span_account *sender_of(const struct world *w, int32_t rank, const span_delivery *d)
{
	const span_program *from = w->program[d->from];
	int32_t block = w->program[rank]->account[d->account].block;

	for (int32_t a = 0; a < from->accounts; a++)
		if (from->account[a].block == block && from->account[a].hop == rank)
			return &from->account[a];
	return NULL;
}

static void expect_messages(const struct world *w)
{
	int32_t sent = 0, received = 0;

	for (int32_t r = 0; r < w->ranks; r++) {
		const span_program *p = w->program[r];

		for (int32_t a = 0; a < p->accounts; a++)
			sent += p->account[a].hop >= 0 && p->account[a].part.count > 0;
		for (int32_t d = 0; d < p->deliveries; d++, received++) {
			const span_delivery *delivery = &p->delivery[d];
			const span_account *from = sender_of(w, r, delivery);

			cr_assert_not_null(from, "%s: nobody sends it", w->text);
			cr_assert_eq(from->part.count, delivery->parts);
			cr_assert_eq(from->send_step, delivery->step);
			cr_assert_leq(delivery->parts, p->delivery_parts[delivery->buffer]);
			for (int32_t e = 0; e < d; e++) /* one a step between two ranks */
				cr_assert(p->delivery[e].from != delivery->from ||
				          p->delivery[e].step < delivery->step, "%s", w->text);
		}
	}
	cr_assert_eq(sent, received, "%s: %d sent, %d received", w->text, sent, received);
}

Test(program, what_is_sent_is_received)
{
	for_worlds(expect_messages);
}

/* ---- buffers ---- */

/* No two accounts that are sent on use a buffer in the same step, nor the step after sending. */
static void expect_return_buffers(const struct world *w)
{
	for (int32_t r = 0; r < w->ranks; r++) {
		const span_program *p = w->program[r];

		for (int32_t a = 0; a < p->accounts; a++) {
			const span_account *x = &p->account[a];

			if (x->hop < 0)
				continue;
			cr_assert(x->buffer >= 0 && x->buffer < p->return_buffers);
			cr_assert_leq(x->slots * x->tiles, p->return_parts[x->buffer]);
			for (int32_t b = 0; b < a; b++) {
				const span_account *y = &p->account[b];

				cr_assert(y->hop < 0 || y->buffer != x->buffer ||
				          y->send_step + 1 < x->begin_step ||
				          x->send_step + 1 < y->begin_step, "%s", w->text);
			}
		}
		for (int32_t d = 0; d < p->deliveries; d++)
			for (int32_t e = 0; e < d; e++)
				cr_assert(p->delivery[d].buffer != p->delivery[e].buffer ||
				          abs(p->delivery[d].step - p->delivery[e].step) > 1);
	}
}

Test(program, gradients_never_share_a_buffer)
{
	for_worlds(expect_return_buffers);
}

/* The last step in which a rank computes on a block or sends it. */
static int32_t last_use(const span_program *p, int32_t block)
{
	int32_t last = -1;

	for (int32_t t = 0; t < p->gather_steps; t++) {
		span_range send = p->step[t].send;

		if (p->step[t].compute == block)
			last = t;
		for (int32_t i = send.first; i < send.first + send.count; i++)
			if (p->transfer[i].block == block)
				last = t;
	}
	return last;
}

static void expect_block_buffers(const struct world *w)
{
	for (int32_t r = 0; r < w->ranks; r++) {
		const span_program *p = w->program[r];
		int32_t held[CASE_MAX_RANKS];

		memset(held, 0xff, sizeof(held));
		for (int32_t t = 0; t < p->gather_steps; t++) {
			span_range receive = p->step[t].receive;

			for (int32_t i = receive.first; i < receive.first + receive.count; i++) {
				int32_t buffer = p->transfer[i].buffer;

				cr_assert(buffer >= 0 && buffer < p->kv_buffers);
				cr_assert_lt(held[buffer], t, "%s: rank %d step %d", w->text, r, t);
				held[buffer] = last_use(p, p->transfer[i].block);
				cr_assert_gt(held[buffer], t, "%s: received for nothing", w->text);
			}
		}
		cr_assert_leq(p->kv_buffers, span_order_buffers(w->order, r), "%s", w->text);
	}
}

Test(program, blocks_never_share_a_buffer)
{
	for_worlds(expect_block_buffers);
}

Test(program, schedule_order_keeps_one_partial)
{
	for (int i = 1; i < 240; i += 2) {
		struct world *w = make_world(i);

		for (int32_t r = 0; r < w->ranks; r++)
			cr_assert_leq(w->program[r]->pending_slots, 1);
		free_world(w);
	}
}
