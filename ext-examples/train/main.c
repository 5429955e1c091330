/* Train a small transformer with its sequence split over ranks, and prove that splitting
 * changed no bit. Start reading here; README.md has the order of the other files. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "blas.h"
#include "chart.h"
#include "checkpoint.h"
#include "complain.h"
#include "order.h"
#include "place.h"
#include "report.h"
#include "topo/span_host.h"
#include "train.h"
#include "verify.h"

enum { OK = 0, FAILED = 1, WRONG_USE = 2 };

/* The first state: from a save, or from a seed. */
static int prepare(struct options *options, const struct text *text, struct state *start)
{
	struct settings *set = &options->settings, saved;
	struct shape shape;

	if (options->resume != NULL) {
		if (checkpoint_load(options->resume, &saved, text, start) != 0 ||
		    options_take_settings(options, &saved, options->resume) != 0)
			return -1;
		if (start->step < options->steps)
			return 0;
		complain("--steps %lld: %s has taken %lld; a larger number is accepted",
		         (long long)options->steps, options->resume, (long long)start->step);
		return -1;
	}
	shape = model_shape((int)set->layers, (int)set->width, (int)set->heads,
	                    (int)set->kv_heads);
	if (state_create(start, model_size(&shape)) != 0)
		return -1;
	model_init(&shape, (uint64_t)set->seed, start->weights);
	return 0;
}

/* On one rank attention may use the cores that the others leave idle: threads change no
 * bit. */
static int threads_of_one(const struct options *options, int cores)
{
	int64_t wanted = options->ranks * options->threads;

	return (int)(wanted < cores ? wanted : cores);
}

/* Train on one rank if the results are to be compared, then on all. Returns how many
 * trainings were done, or -1. */
static int train_all(const struct options *options, int cores, const struct text *text,
                     const struct state *start, struct state *finish,
                     struct outcome *outcome)
{
	struct job job = { .options = options, .text = text, .start = start };
	int n = 0;

	if (options->verify && options->ranks > 1) {
		job.ranks = 1;
		job.threads = threads_of_one(options, cores);
		if (train(&job, &outcome[n++]) != 0)
			return -1;
	}
	job.ranks = (int)options->ranks;
	job.threads = (int)options->threads;
	job.group = options->group;
	job.finish = finish;
	return train(&job, &outcome[n++]) != 0 ? -1 : n;
}

static int save(const struct options *options, const struct text *text,
                const struct state *finish)
{
	if (options->save == NULL)
		return 0;
	if (checkpoint_save(options->save, &options->settings, text, finish) != 0)
		return -1;
	printf("saved after step %lld in %s\n", (long long)finish->step, options->save);
	return 0;
}

static int draw(const struct options *options, const struct outcome *outcome, int n)
{
	if (chart_write(options->svg, outcome, n) != 0)
		return -1;
	printf("loss drawn in %s\n", options->svg);
	return 0;
}

static int judge(const struct options *options, const struct outcome *outcome, int n)
{
	if (n == 2)
		return verify(&options->settings, &outcome[0], &outcome[1]);
	printf("trained on %lld rank%s, compared with none\n", (long long)options->ranks,
	       options->ranks == 1 ? "" : "s");
	return 0;
}

/* Everything that is written once training is done: first the save, which cost most, the
 * verdict last. Each is written whatever became of those before it. */
static int conclude(const struct options *options, const struct text *text,
                    const struct state *finish, const struct outcome *outcome, int n)
{
	int failures = 0;

	report_table(outcome, n);
	printf("\n");
	failures += save(options, text, finish) != 0;
	failures += draw(options, outcome, n) != 0;
	failures += options->json != NULL && report_json(options->json, outcome, n) != 0;
	failures += judge(options, outcome, n) != 0;
	return failures == 0 ? 0 : -1;
}

static int run(const struct options *options, const struct text *text,
               const struct state *start)
{
	struct outcome outcome[2] = { { 0 }, { 0 } };
	struct state finish = { 0 };
	span_host *host = NULL;
	int n = -1, failed = 1;

	if (span_host_create(&host) != SPAN_OK || state_create(&finish, start->size) != 0)
		goto out;
	report_machine(host);
	report_text(options, text);
	report_model(options);
	n = train_all(options, span_host_cores(host), text, start, &finish, outcome);
	if (n > 0)
		failed = conclude(options, text, &finish, outcome, n) != 0;
out:
	outcome_free(&outcome[0]);
	outcome_free(&outcome[1]);
	state_free(&finish);
	span_host_free(host);
	return failed ? FAILED : OK;
}

/* What was printed has arrived, or the exit status says that it has not. */
static int close_output(int result)
{
	int lost = fflush(stdout) != 0;

	if (!lost && !ferror(stdout))
		return result;
	complain("standard output: %s", lost ? strerror(errno) : "a part of it was lost");
	return result == OK ? FAILED : result;
}

int main(int argc, char **argv)
{
	struct options options;
	struct text text = { 0 };
	struct state start = { 0 };
	int result = WRONG_USE;

	complain_for_library();
	if (options_parse(argc, argv, &options) != 0)
		return WRONG_USE;
	if (options.help) {
		options_help();
		return close_output(OK);
	}
	if (places_check(&options) != 0)
		return WRONG_USE;
	blas_start();
	if (text_load(options.text, &text) == 0 && prepare(&options, &text, &start) == 0 &&
	    order_choose(&options) == 0)
		result = run(&options, &text, &start);
	state_free(&start);
	text_free(&text);
	return close_output(result);
}
