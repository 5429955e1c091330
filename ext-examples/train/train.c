#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "complain.h"
#include "report.h"
#include "step.h"
#include "train.h"

/* What the ranks of one training share. */
struct shared {
	const struct job *job;
	struct outcome *outcome;
	pthread_mutex_t lock;   /* of the following, and of what ranks add to outcome */
	struct traffic traffic; /* so far, all ranks */
};

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int64_t tokens_of_step(const struct settings *settings)
{
	return settings->batch * settings->seq;
}

/* A rank adds what it sent in this step before the step's last sum, so that rank 0 finds
 * all of it after that. Ranks without a token are not waited for: theirs may come late. */
static void add_traffic(void *context, struct rank *rank)
{
	struct shared *shared = context;

	pthread_mutex_lock(&shared->lock);
	shared->traffic.inside += rank->traffic.inside;
	shared->traffic.between += rank->traffic.between;
	shared->traffic.exposed += rank->traffic.exposed;
	pthread_mutex_unlock(&shared->lock);
	rank->traffic = (struct traffic){ 0 };
}

static struct traffic read_traffic(struct shared *shared)
{
	struct traffic traffic;

	pthread_mutex_lock(&shared->lock);
	traffic = shared->traffic;
	pthread_mutex_unlock(&shared->lock);
	traffic.exposed /= shared->job->ranks;
	return traffic;
}

static struct traffic difference(struct traffic now, struct traffic before)
{
	return (struct traffic){ now.inside - before.inside, now.between - before.between,
		                 now.exposed - before.exposed };
}

/* What the verdict on schedule numerics compares. */
static void keep_gradient(struct outcome *outcome, const struct rank *rank)
{
	if (outcome->gradient != NULL)
		memcpy(outcome->gradient, rank->gradient, rank->state.size * sizeof(float));
}

static span_status take_steps(struct shared *shared, struct rank *rank)
{
	const struct job *job = shared->job;
	int64_t last = job->options->steps, each = tokens_of_step(rank->settings);
	struct traffic before = { 0 };
	double start = now();

	while (rank->state.step < last) {
		double begin = now();
		struct traffic so_far;
		float loss;
		span_status status = step_take(rank, add_traffic, shared, &loss);

		if (status != SPAN_OK)
			return status;
		if (rank->index != 0)
			continue;
		shared->outcome->loss[rank->state.step - 1 - job->start->step] = loss;
		if (rank->state.step - 1 == job->start->step)
			keep_gradient(shared->outcome, rank);
		so_far = read_traffic(shared);
		report_step(rank->state.step, last, loss, (double)each / (now() - begin),
		            difference(so_far, before));
		before = so_far;
	}
	if (rank->index == 0)
		shared->outcome->seconds = now() - start;
	return SPAN_OK;
}

static size_t footprint_total(const struct footprint *footprint)
{
	return footprint->weights + footprint->activations + footprint->workspace +
	       footprint->sums;
}

static void finish_rank(struct shared *shared, struct rank *rank)
{
	struct outcome *outcome = shared->outcome;
	struct state *finish = shared->job->finish;
	size_t bytes = rank->state.size * sizeof(float);

	outcome->digest[rank->index] = span_digest(rank->state.weights, bytes);
	pthread_mutex_lock(&shared->lock);
	if (footprint_total(&rank->footprint) > footprint_total(&outcome->footprint))
		outcome->footprint = rank->footprint;
	pthread_mutex_unlock(&shared->lock);
	if (rank->index != 0 || finish == NULL)
		return;
	finish->step = rank->state.step;
	memcpy(finish->weights, rank->state.weights, bytes);
	memcpy(finish->moment, rank->state.moment, bytes);
	memcpy(finish->variance, rank->state.variance, bytes);
}

static span_status rank_body(span_transport *transport, void *argument)
{
	struct shared *shared = argument;
	const struct job *job = shared->job;
	struct rank rank;
	span_status status;

	status = rank_create(&rank, job->options, job->threads, job->text, job->start,
	                     transport);
	if (status != SPAN_OK)
		return status;
	if (rank.index == 0)
		status = report_plan(&rank, job->threads, job->options->reason);
	if (status == SPAN_OK)
		status = take_steps(shared, &rank);
	if (status == SPAN_OK)
		finish_rank(shared, &rank);
	rank_free(&rank);
	return status;
}

static int outcome_create(const struct job *job, struct outcome *outcome)
{
	int64_t steps = job->options->steps - job->start->step;
	int schedule = job->options->settings.numerics == SPAN_NUMERICS_SCHEDULE;

	*outcome = (struct outcome){
		.ranks = job->ranks,
		.first = job->start->step,
		.steps = steps,
		.tokens = steps * tokens_of_step(&job->options->settings),
		.loss = calloc(steps, sizeof *outcome->loss),
		.digest = calloc(job->ranks, sizeof *outcome->digest),
		.gradient = schedule ? calloc(job->start->size, sizeof(float)) : NULL,
	};
	if (outcome->loss != NULL && outcome->digest != NULL &&
	    (outcome->gradient != NULL || !schedule))
		return 0;
	complain("out of memory for %lld losses and a gradient", (long long)steps);
	return -1;
}

void outcome_free(struct outcome *outcome)
{
	free(outcome->loss);
	free(outcome->gradient);
	free(outcome->digest);
	*outcome = (struct outcome){ 0 };
}

int train(const struct job *job, struct outcome *outcome)
{
	struct shared shared = {
		.job = job, .outcome = outcome, .lock = PTHREAD_MUTEX_INITIALIZER
	};
	span_local *local = NULL;
	span_status status;

	if (outcome_create(job, outcome) != 0)
		return -1;
	status = span_local_create(job->ranks, job->group, &local);
	if (status == SPAN_OK)
		status = span_local_run(local, rank_body, &shared);
	if (status == SPAN_OK) {
		span_local_bytes(local, &outcome->inside, &outcome->between);
		outcome->attention = read_traffic(&shared);
	} else {
		complain("training on %d rank%s failed: %s", job->ranks, job->ranks > 1 ? "s" : "",
		         span_strerror(status));
	}
	span_local_free(local);
	return status == SPAN_OK ? 0 : -1;
}
