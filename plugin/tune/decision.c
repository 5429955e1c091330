/* What is known of a collective at each size, and what the plugin would take. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plugin/decide.h"
#include "plugin/tune/tune.h"
#include "topo/log.h"

/* --- preparing ---------------------------------------------------------------------------- */

static bool find_curves(struct tune_decision *decision)
{
	bool any = false;

	for (int a = 0; a < TUNE_ALGOS; a++) {
		for (int p = 0; p < TUNE_PROTOS; p++) {
			decision->curves[a][p] =
				span_profile_curve(decision->profile, decision->coll, tune_algo(a),
			                           tune_proto(p), decision->ranks,
			                           decision->nodes);
			any |= decision->curves[a][p] != NULL;
		}
	}
	return any;
}

static span_status find_model(struct tune_decision *decision)
{
	const span_number *gpus = span_profile_number(decision->profile, "machine.gpus");
	span_nccl_constants constants;
	span_nccl_comm comm;
	span_status status;

	/* The graphs of a profile are those of whole nodes; NCCL finds others for a part of one. */
	if (decision->ranks < 2 ||
	    (gpus && gpus->value * decision->nodes != decision->ranks))
		return SPAN_OK;
	status = span_nccl_from_profile(decision->profile, decision->ranks, decision->nodes, &comm,
	                                &constants);
	if (status == SPAN_EUNSUPPORTED)
		return SPAN_OK;
	if (!status)
		status = span_nccl_model_build(&comm, &constants, &decision->model);
	decision->has_model = !status;
	return status;
}

/* Which ranks and nodes a profile does know, for the message. */
static span_status tell_unknown(const struct tune_decision *decision)
{
	const span_number *gpus = span_profile_number(decision->profile, "machine.gpus");
	char known[160] = "", model[80] = "";
	size_t n = 0;
	int32_t ranks = 0, nodes = 0;

	for (int32_t i = 0; i < span_profile_curves(decision->profile); i++) {
		const span_curve *curve = span_profile_curve_at(decision->profile, i);

		if (curve->coll != decision->coll || (curve->ranks == ranks && curve->nodes == nodes) ||
		    n + 24 > sizeof(known))
			continue;
		ranks = curve->ranks;
		nodes = curve->nodes;
		n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%d/%d", n ? ", " : "", ranks,
		                      nodes);
	}
	if (gpus && gpus->value * decision->nodes != decision->ranks)
		snprintf(model, sizeof(model), "; NCCL's model of it is one of whole nodes of %g GPUs",
		         gpus->value);
	return span_fail(SPAN_EUNSUPPORTED,
	                 "profile \"%s\" knows nothing of %s on %d ranks, %d nodes%s%s%s",
	                 span_profile_name(decision->profile), span_coll_name(decision->coll),
	                 decision->ranks, decision->nodes,
	                 n ? "; measured ranks/nodes are " : "; it has no curve of it", known, model);
}

span_status tune_decision_create(const struct tune *tune, const span_profile *profile,
                                 const struct span_rules *rules, struct tune_decision *decision)
{
	struct span_question question = { .ranks = tune->said.ranks,
		                          .nodes = tune->said.nodes,
		                          .rules = rules,
		                          .profile = profile,
		                          .margin = tune->margin };
	span_status status;
	bool known;

	memset(decision, 0, sizeof(*decision));
	decision->profile = profile;
	decision->coll = tune->said.coll;
	decision->ranks = tune->said.ranks;
	decision->nodes = tune->said.nodes;
	if (decision->nodes > decision->ranks)
		return span_fail(SPAN_EINVAL, "%d nodes for %d ranks", decision->nodes,
		                 decision->ranks);
	known = find_curves(decision);
	status = find_model(decision);
	if (status)
		return status;
	if (!known && !decision->has_model && !(rules && rules->n))
		return tell_unknown(decision);
	return span_decide(&question, &decision->table);
}

void tune_decision_free(struct tune_decision *decision)
{
	span_table_free(decision->table);
	decision->table = NULL;
}

/* --- deciding ----------------------------------------------------------------------------- */

static void fill_times(const struct tune_decision *decision, struct tune_row *row)
{
	for (int algo = 0; algo < TUNE_ALGOS; algo++) {
		for (int proto = 0; proto < TUNE_PROTOS; proto++) {
			const span_curve *curve = decision->curves[algo][proto];
			float model = -1;

			if (decision->has_model && algo < SPAN_ALGOS && proto < SPAN_PROTOS)
				model = span_nccl_model_us(&decision->model, decision->coll, algo,
				                           proto, (uint64_t)row->bytes, 1);
			if (curve)
				row->us[algo][proto] = span_curve_us(curve, row->bytes);
			else if (model > 0)
				row->us[algo][proto] = model;
			row->origin[algo][proto] = curve ? TUNE_MEASURED : model > 0 ? TUNE_MODELLED
			                                                             : TUNE_NOTHING;
		}
	}
}

/* The cost table that NCCL would show to a tuner: its model's, or, where the profile does not
 * describe the machine, what is known. */
static void fill_costs(const struct tune_decision *decision, const struct tune_row *row,
                       float costs[SPAN_ALGOS][SPAN_PROTOS])
{
	if (decision->has_model) {
		span_nccl_model_table(&decision->model, decision->coll, (uint64_t)row->bytes, 1,
		                      costs);
		return;
	}
	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++)
			costs[algo][proto] = row->origin[algo][proto] ? (float)row->us[algo][proto]
			                                              : -1.0f;
	}
}

static void smallest(float costs[SPAN_ALGOS][SPAN_PROTOS], int *algo, int *proto)
{
	float least = HUGE_VALF;

	*algo = *proto = -1;
	for (int a = 0; a < SPAN_ALGOS; a++) {
		for (int p = 0; p < SPAN_PROTOS; p++) {
			if (costs[a][p] >= 0 && costs[a][p] < least) {
				least = costs[a][p];
				*algo = a;
				*proto = p;
			}
		}
	}
}

/* The choices of the table at a size, best first. */
static const struct span_choice *choices_at(const struct tune_decision *decision, double bytes,
                                            int *n)
{
	int32_t segments = span_table_segments(decision->table, decision->coll);
	const struct span_choice *choices = NULL;
	uint64_t first;

	*n = 0;
	for (int32_t i = segments - 1; i >= 0; i--) {
		choices = span_table_segment(decision->table, decision->coll, i, &first, n);
		if ((double)first <= bytes)
			break;
	}
	return choices;
}

/* Against NCCL's own table, as the plugin does it. */
static void choose_against_model(const struct tune_decision *decision, struct tune_row *row,
                                 float costs[SPAN_ALGOS][SPAN_PROTOS])
{
	const struct span_choice *choices;
	int channels = 0, n;

	smallest(costs, &row->default_algo, &row->default_proto);
	span_table_choose(decision->table, decision->coll, (uint64_t)row->bytes, 1, &costs[0][0],
	                  SPAN_ALGOS, SPAN_PROTOS, &channels);
	smallest(costs, &row->algo, &row->proto);
	choices = choices_at(decision, row->bytes, &n);
	for (int i = 0; i < n; i++) {
		if (costs[row->algo][row->proto] == 0 && choices[i].algo == row->algo &&
		    choices[i].proto == row->proto)
			row->because = choices + i;
	}
}

/* Leave the cells that were measured at this size, if there are any: beyond, a curve only guesses. */
static void keep_measured(const struct tune_decision *decision, double bytes,
                          float costs[SPAN_ALGOS][SPAN_PROTOS])
{
	float kept[SPAN_ALGOS][SPAN_PROTOS];
	int n = 0;

	for (int algo = 0; algo < SPAN_ALGOS; algo++) {
		for (int proto = 0; proto < SPAN_PROTOS; proto++) {
			const span_curve *curve = decision->curves[algo][proto];
			bool within = curve && bytes >= curve->knots[0].bytes &&
			              bytes <= curve->knots[curve->n_knots - 1].bytes;

			kept[algo][proto] = within ? costs[algo][proto] : -1.0f;
			n += within;
		}
	}
	if (n)
		memcpy(costs, kept, sizeof(kept));
}

/* Not knowing what NCCL would take: the first choice of the table, which beats all or some of
 * the cells that are known; else what NCCL took when it was measured, or the fastest known. */
static void choose_alone(const struct tune_decision *decision, struct tune_row *row,
                         float costs[SPAN_ALGOS][SPAN_PROTOS])
{
	const struct span_choice *choices;
	int n;

	keep_measured(decision, row->bytes, costs);
	smallest(costs, &row->algo, &row->proto);
	choices = choices_at(decision, row->bytes, &n);
	if (!n && tune_row_us(row, -1, -1) > 0)
		row->algo = row->proto = -1;
	if (!n)
		return;
	row->algo = choices[0].algo;
	row->proto = choices[0].proto;
	row->because = choices;
}

struct tune_row tune_decide(const struct tune_decision *decision, double bytes)
{
	struct tune_row row = { .bytes = bytes, .default_algo = -1, .default_proto = -1 };
	float costs[SPAN_ALGOS][SPAN_PROTOS];

	fill_times(decision, &row);
	fill_costs(decision, &row, costs);
	if (decision->has_model)
		choose_against_model(decision, &row, costs);
	else
		choose_alone(decision, &row, costs);
	return row;
}

double tune_row_us(const struct tune_row *row, int algo, int proto)
{
	return row->us[algo < 0 ? SPAN_ALGOS : algo][proto < 0 ? SPAN_PROTOS : proto];
}

/* --- sizes -------------------------------------------------------------------------------- */

/* The span of what was measured of a collective. */
static void measured_span(const struct tune_decision *decision, double *from, double *to)
{
	for (int32_t i = 0; i < span_profile_curves(decision->profile); i++) {
		const span_curve *curve = span_profile_curve_at(decision->profile, i);

		if (curve->coll != decision->coll || curve->ranks != decision->ranks ||
		    curve->nodes != decision->nodes)
			continue;
		if (!*from || curve->knots[0].bytes < *from)
			*from = curve->knots[0].bytes;
		*to = fmax(*to, curve->knots[curve->n_knots - 1].bytes);
	}
	if (!*from) {
		*from = 1024;
		*to = 4294967296.0;
	}
}

int tune_sizes(const struct tune *tune, const struct tune_decision *decision, double *bytes)
{
	double from = 0, to = 0;
	int n = 0;

	measured_span(decision, &from, &to);
	if (tune->from)
		from = tune->from;
	if (tune->to)
		to = tune->to;
	for (double size = from; size <= to * (1 + 1e-9) && n < TUNE_MAX_BYTES; size *= 2)
		bytes[n++] = size;
	return n;
}
