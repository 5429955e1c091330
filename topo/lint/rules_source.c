/* Rules of lint: what the reader of the source noticed. */
#include "topo/lint/lint.h"

static void tell_notes(struct lint *lint, bool corrected)
{
	for (int32_t i = 0; i < lint->topo->n_notes; i++)
		if (lint->topo->notes[i].corrected == corrected)
			lint_tell_at(lint, lint->topo->notes[i].place, "%s", lint->topo->notes[i].text);
}

static void source_corrected(struct lint *lint)
{
	tell_notes(lint, true);
}

static void source_assumed(struct lint *lint)
{
	tell_notes(lint, false);
}

const struct lint_rule lint_rules_source[] = {
	{ .id = "source-corrected", .severity = LINT_INFO,
	  .title = "a defect of the source that span-topo mends",
	  .why = "other readers of it, NCCL among them, take the wrong figure",
	  .remedy = "span-topo convert writes the mended picture; --as-nccl shows the other",
	  .topology = source_corrected },
	{ .id = "source-assumed", .severity = LINT_INFO,
	  .title = "something the source does not tell",
	  .why = "figures that depend on it are guesses",
	  .remedy = "take a source that tells it: the host itself, or NCCL's dump",
	  .topology = source_assumed },
	{ .id = NULL },
};
