/* span-tune predict: times and choices as JSON. */
#include <jansson.h>
#include <stdlib.h>

#include "plugin/tune/tune.h"
#include "topo/log.h"

enum { DIGITS = 9 }; /* of a time: more than any clock has */

static json_t *times_of(const struct tune_row *row)
{
	json_t *us = json_object();
	char key[32];

	for (int a = 0; a < TUNE_ALGOS; a++) {
		for (int p = 0; p < TUNE_PROTOS; p++) {
			if (row->origin[a][p])
				json_object_set_new(us,
				                    tune_cell_text(tune_algo(a), tune_proto(p), key),
				                    json_real(row->us[a][p]));
		}
	}
	return us;
}

static json_t *json_of(const struct tune_row *row)
{
	char key[32];
	json_t *object = json_object();

	json_object_set_new(object, "bytes", json_integer((json_int_t)row->bytes));
	json_object_set_new(object, "us", times_of(row));
	json_object_set_new(object, "choice",
	                    json_string(tune_cell_text(row->algo, row->proto, key)));
	return object;
}

static json_t *predict(const struct tune *tune, const struct tune_decision *decision)
{
	json_t *root = json_object(), *rows = json_array();

	json_object_set_new(root, "collective", json_string(span_coll_name(tune->said.coll)));
	json_object_set_new(root, "ranks", json_integer(tune->said.ranks));
	json_object_set_new(root, "nodes", json_integer(tune->said.nodes));
	for (int i = 0; i < tune->n_bytes; i++) {
		struct tune_row row = tune_decide(decision, tune->bytes[i]);

		json_array_append_new(rows, json_of(&row));
	}
	json_object_set_new(root, "rows", rows);
	return root;
}

static int run(struct tune *tune)
{
	struct tune_decision decision = { 0 };
	struct span_rules rules = { 0 };
	span_profile *profile = NULL;
	span_status status;
	FILE *out;

	if (!tune_need(tune, "crnb"))
		return EXIT_BAD;
	status = tune_open_profile(tune, tune->n_words ? tune->words[0] : NULL, &profile);
	if (!status)
		status = tune_load_rules(tune, &rules);
	if (!status)
		status = tune_decision_create(tune, profile, &rules, &decision);
	out = status ? NULL : tune_out(tune);
	if (out) {
		json_t *root = predict(tune, &decision);

		json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(DIGITS));
		fputc('\n', out);
		json_decref(root);
	}
	tune_decision_free(&decision);
	span_rules_free(&rules);
	span_profile_free(profile);
	return out ? EXIT_FINE : EXIT_BAD;
}

const struct tune_command command_predict = {
	.name = "predict",
	.words = "[PROFILE]",
	.summary = "Predicted times and choices, as JSON",
	.options = "crnbmRTo",
	.least_words = 0,
	.most_words = 1,
	.help = "\"us\" has a time for each algorithm and protocol that was measured or that the\n"
		"profile's constants give; \"Any/Any\" is what NCCL chose where no log said, and\n"
		"\"Ring/Any\" a ring whose protocol none said.\n"
		"\"choice\" is what runs with the plugin and this profile.\n\n"
		"Example:\n"
		"  span-tune predict p.profile --coll AllReduce --ranks 8 --nodes 1 --bytes 64K 1M\n"
		"  span-tune predict --topology topo.xml --coll AllReduce --ranks 16 --nodes 2 "
		"--bytes 1M\n",
	.run = run,
};
