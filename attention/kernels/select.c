/* Which kernels run: what this processor and its operating system offer, and SPAN_ISA. */
#include <stdlib.h>
#include <string.h>
#include "attention/kernels/kernel.h"
#include "topo/log.h"

static int count_tables(void)
{
	return 1;
}

static const span_kernels *const tables[] = { &span_kernels_ref };

const span_kernels *span_kernels_at(int i)
{
	return i >= 0 && i < count_tables() ? tables[i] : NULL;
}

/* "ref, avx2, avx512", as far as they run here. */
static const char *list_names(char *text, size_t size)
{
	const span_kernels *table;

	text[0] = '\0';
	for (int i = 0; (table = span_kernels_at(i)); i++) {
		if (i)
			strncat(text, ", ", size - strlen(text) - 1);
		strncat(text, table->name, size - strlen(text) - 1);
	}
	return text;
}

span_status span_kernels_select(const span_kernels **kernels)
{
	const char *isa = getenv("SPAN_ISA");
	const span_kernels *table;
	char names[64];

	if (!isa || !*isa) {
		*kernels = tables[count_tables() - 1];
		return SPAN_OK;
	}
	for (int i = 0; (table = span_kernels_at(i)); i++)
		if (strcmp(isa, table->name) == 0) {
			*kernels = table;
			return SPAN_OK;
		}
	return span_fail(SPAN_EINVAL, "SPAN_ISA is \"%s\"; this processor runs %s", isa,
	                 list_names(names, sizeof(names)));
}
