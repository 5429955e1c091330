/* What the user reads on standard output. */
#ifndef TRAIN_REPORT_H
#define TRAIN_REPORT_H

#include "train.h"

/* This machine, the text and the model. */
struct span_host;
void report_machine(const struct span_host *host);
void report_text(const struct options *options, const struct text *text);
void report_model(const struct options *options);

/* How the ranks of a training share the work; called by rank 0. */
span_status report_plan(const struct rank *rank, int threads, const char *reason);

/* One line a step; when there are many, some are left out. */
void report_step(int64_t step, int64_t last, float loss, double tokens_per_second,
                 struct traffic traffic);

/* The table at the end, of one training or of two side by side. */
void report_table(const struct outcome *outcome, int n);

/* Losses and figures for programs. Returns 0, or -1 with the reason said. */
int report_json(const char *path, const struct outcome *outcome, int n);

#endif
