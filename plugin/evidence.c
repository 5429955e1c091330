/* From curves and the model to choices by size. */
#include "plugin/evidence.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Sizes are looked at in quarters of an octave, up to what curves are good for; a border between
 * two of them is then found by halving, to a hundredth: no time is known better. */
#define OCTAVES     50
#define QUARTERS    4
#define BORDER_FINE 100

/* Borders within a quarter of an octave; two cells cross once or twice. */
#define MOST_CHANGES 32

/* How far the model's times are trusted where a profile does not say: caution, no measurement. */
#define MODEL_SPREAD 0.1

/* Times of the cells at one size, 0 where there is none. */
struct times {
	double us[SPAN_CELLS];
};

/* What a cell's time may be at most, as a share of another's, to beat it: the same at all sizes,
 * so computed once for a collective. */
struct bars {
	double share[SPAN_CELLS][SPAN_CELLS];
};

/* --- preparing ------------------------------------------------------------------------------ */

/* Where the profile left NCCL's default, take what this NCCL has instead. */
static void adopt(span_nccl_constants *ours, const struct nccl_tuner_constants *theirs)
{
	const double *defaults = (const double *)&span_nccl_defaults;
	const double *given = (const double *)theirs;
	double *number = (double *)ours;

	_Static_assert(sizeof(*ours) == sizeof(*theirs), "the same 144 doubles");
	for (size_t i = 0; i < sizeof(*ours) / sizeof(*number); i++)
		if (number[i] == defaults[i])
			number[i] = given[i];
}

/* The graphs of a profile are those of whole nodes; NCCL finds others for a part of one. */
static bool fills_nodes(const struct span_evidence *evidence)
{
	const span_number *gpus = span_profile_number(evidence->profile, "machine.gpus");

	return !gpus || gpus->value * evidence->nodes == evidence->ranks;
}

static span_status prepare_model(const struct nccl_tuner_constants *given,
                                 struct span_evidence *evidence)
{
	const span_number *spread = span_profile_number(evidence->profile, "model.spread");
	span_nccl_constants constants, received;
	span_nccl_comm comm;
	span_status status;

	if (!fills_nodes(evidence))
		return SPAN_OK;
	status = span_nccl_from_profile(evidence->profile, evidence->ranks, evidence->nodes, &comm,
	                                &constants);
	if (status)
		return status == SPAN_EUNSUPPORTED ? SPAN_OK : status;
	if (given) {
		memcpy(&received, given, sizeof(received));
		if (span_nccl_constants_sane(&received))
			adopt(&constants, given);
	}
	status = span_nccl_model_build(&comm, &constants, &evidence->model);
	if (status)
		return status;
	evidence->has_model = true;
	evidence->model_spread = spread && spread->value >= 0 ? spread->value : MODEL_SPREAD;
	return SPAN_OK;
}

span_status span_evidence_prepare(const span_profile *profile, int32_t ranks, int32_t nodes,
                                  double margin, const struct nccl_tuner_constants *constants,
                                  struct span_evidence *evidence)
{
	memset(evidence, 0, sizeof(*evidence));
	evidence->profile = profile;
	evidence->ranks = ranks;
	evidence->nodes = nodes;
	evidence->margin = margin;
	if (!profile || ranks < 2)
		return SPAN_OK;
	return prepare_model(constants, evidence);
}

/* --- one size ------------------------------------------------------------------------------- */

/* One collective: its curves, and what it takes to beat by measurement and by the model. */
struct contest {
	const struct span_evidence *evidence;
	int coll;
	const span_curve *curves[SPAN_CELLS];
	struct bars measured, model;
};

/* More than the margin must be saved, and more than the noise of both. */
static double bar_of(double margin, double spread, double other)
{
	return 1 - fmax(margin, hypot(spread, other));
}

static const span_curve *find_curve(const struct span_evidence *evidence, int coll, int cell)
{
	if (!evidence->profile)
		return NULL;
	return span_profile_curve(evidence->profile, coll, cell / SPAN_PROTOS, cell % SPAN_PROTOS,
	                          evidence->ranks, evidence->nodes);
}

/* Fill in what follows from the evidence and the collective. */
static void prepare_contest(struct contest *contest)
{
	const struct span_evidence *evidence = contest->evidence;
	const span_curve **curves = contest->curves;

	for (int cell = 0; cell < SPAN_CELLS; cell++)
		curves[cell] = find_curve(evidence, contest->coll, cell);
	for (int a = 0; a < SPAN_CELLS; a++)
		for (int b = 0; b < SPAN_CELLS; b++) {
			contest->model.share[a][b] = bar_of(evidence->margin, evidence->model_spread,
			                                    evidence->model_spread);
			if (curves[a] && curves[b])
				contest->measured.share[a][b] = bar_of(evidence->margin,
				                                       curves[a]->spread,
				                                       curves[b]->spread);
		}
}

static bool covers(const span_curve *curve, double bytes)
{
	return bytes >= curve->knots[0].bytes / 2 &&
	       bytes <= curve->knots[curve->n_knots - 1].bytes * 2;
}

/* A curve is believed up to an octave beyond what was measured. */
static struct times measured_times(const struct contest *contest, double bytes)
{
	struct times times = { { 0 } };
	const span_curve *curve;

	for (int cell = 0; cell < SPAN_CELLS; cell++) {
		curve = contest->curves[cell];
		if (curve && covers(curve, bytes))
			times.us[cell] = span_curve_us(curve, bytes);
	}
	return times;
}

static struct times model_times(const struct contest *contest, uint64_t bytes)
{
	const struct span_evidence *evidence = contest->evidence;
	struct times times = { { 0 } };
	double us;

	for (int cell = 0; cell < SPAN_CELLS && evidence->has_model; cell++) {
		us = span_nccl_model_us(&evidence->model, contest->coll, cell / SPAN_PROTOS,
		                        cell % SPAN_PROTOS, bytes, 1);
		times.us[cell] = us > 0 ? us : 0;
	}
	return times;
}

static uint32_t known(const struct times *times)
{
	uint32_t cells = 0;

	for (int cell = 0; cell < SPAN_CELLS; cell++)
		cells |= (uint32_t)(times->us[cell] > 0) << cell;
	return cells;
}

/* Of `others`, those that a cell beats, and the smallest share of time that it saves. */
static uint32_t beaten(const struct times *times, const struct bars *bars, int cell,
                       uint32_t others, float *gain)
{
	double us = times->us[cell], least = HUGE_VAL;
	uint32_t cells = 0;

	for (uint32_t left = others & ~(1u << cell); left; left &= left - 1) {
		int other = __builtin_ctz(left);

		if (us < times->us[other] * bars->share[cell][other]) {
			cells |= 1u << other;
			least = times->us[other] < least ? times->us[other] : least;
		}
	}
	*gain = cells ? (float)(1 - us / least) : 0;
	return cells;
}

static struct span_choice choice_of(int cell, enum span_reason reason)
{
	struct span_choice choice = { .pipe_ops = 1, .reason = (uint8_t)reason };

	choice.algo = (int8_t)(cell / SPAN_PROTOS);
	choice.proto = (int8_t)(cell % SPAN_PROTOS);
	return choice;
}

/* Append the cells that beat one of `others`, fastest first; returns how many. */
static int rank_cells(const struct times *times, const struct bars *bars, uint32_t others,
                      enum span_reason reason, struct span_choice *choices)
{
	struct span_choice choice;
	double us[SPAN_CELLS];
	int n = 0, at;

	for (uint32_t left = known(times); left; left &= left - 1) {
		int cell = __builtin_ctz(left);

		choice = choice_of(cell, reason);
		choice.beats = beaten(times, bars, cell, others, &choice.gain);
		if (!choice.beats)
			continue;
		for (at = n++; at > 0 && us[at - 1] > times->us[cell]; at--) {
			us[at] = us[at - 1];
			choices[at] = choices[at - 1];
		}
		us[at] = times->us[cell];
		choices[at] = choice;
	}
	return n;
}

/* Measurements judge the cells they know, if they know two; the model judges the others. */
static void judge(const struct contest *contest, uint64_t bytes, struct span_segment *segment)
{
	struct times measured = measured_times(contest, (double)bytes);
	struct times model = model_times(contest, bytes);
	uint32_t compared = known(&measured);

	if (!(compared & (compared - 1)))
		compared = 0; /* a single time compares with nothing */
	segment->first = bytes;
	segment->n = rank_cells(&measured, &contest->measured, compared, SPAN_BY_MEASUREMENT,
	                        segment->choices);
	segment->n += rank_cells(&model, &contest->model, known(&model) & ~compared, SPAN_BY_MODEL,
	                         segment->choices + segment->n);
}

/* --- all sizes ------------------------------------------------------------------------------ */

static bool same(const struct span_segment *a, const struct span_segment *b)
{
	if (a->n != b->n)
		return false;
	for (int i = 0; i < a->n; i++)
		if (a->choices[i].beats != b->choices[i].beats ||
		    a->choices[i].algo != b->choices[i].algo ||
		    a->choices[i].proto != b->choices[i].proto ||
		    a->choices[i].reason != b->choices[i].reason)
			return false;
	return true;
}

/* Where, between a size that is judged like `before` and the one of *after, that ends; *after
 * becomes the judgement from there. */
static void find_border(const struct contest *contest, const struct span_segment *before,
                        uint64_t low, struct span_segment *after)
{
	struct span_segment middle;

	while (after->first - low > 1 + low / BORDER_FINE) {
		judge(contest, low + (after->first - low) / 2, &middle);
		if (same(before, &middle))
			low = middle.first;
		else
			*after = middle;
	}
}

static uint64_t grid_size(int octave, int quarter)
{
	static const uint64_t steps[QUARTERS] = { 1024, 1218, 1448, 1722 }; /* 1024 * 2^(q/4) */

	return octave < 10 ? steps[quarter] >> (10 - octave) : steps[quarter] << (octave - 10);
}

struct list {
	struct span_segment *segments;
	int n;
};

static span_status append(struct list *list, const struct span_segment *segment)
{
	struct span_segment *more;

	if ((list->n & (list->n - 1)) == 0) { /* full at each power of two */
		more = realloc(list->segments, (list->n ? 2 * (size_t)list->n : 1) * sizeof(*more));
		if (!more)
			return span_fail(SPAN_ENOMEM, "span_evidence: no memory");
		list->segments = more;
	}
	list->segments[list->n++] = *segment;
	return SPAN_OK;
}

/* Append what changes after `low` up to the size of `end`: mostly nothing or one border. */
static span_status append_changes(const struct contest *contest, uint64_t low,
                                  const struct span_segment *end, struct list *list)
{
	struct span_segment next;
	span_status status = SPAN_OK;

	for (int left = MOST_CHANGES; !status && !same(&list->segments[list->n - 1], end); left--) {
		next = *end;
		if (left > 0)
			find_border(contest, &list->segments[list->n - 1], low, &next);
		low = next.first;
		status = append(list, &next);
	}
	return status;
}

span_status span_evidence_segments(const struct span_evidence *evidence, int coll,
                                   struct span_segment **segments, int *n)
{
	struct list list = { NULL, 0 };
	struct contest contest = { .evidence = evidence, .coll = coll };
	struct span_segment next;
	uint64_t size, last = 1;
	span_status status;

	prepare_contest(&contest);
	judge(&contest, last, &next);
	next.first = 0;
	status = append(&list, &next);
	for (int i = 1; i < OCTAVES * QUARTERS && !status; i++) {
		size = grid_size(i / QUARTERS, i % QUARTERS);
		if (size == last)
			continue;
		judge(&contest, size, &next);
		status = append_changes(&contest, last, &next, &list);
		last = size;
	}
	if (status) {
		free(list.segments);
		return status;
	}
	*segments = list.segments;
	*n = list.n;
	return SPAN_OK;
}
