/* Inputs that once made a reader fail, found by tests/fuzz. Each is accepted or refused with one
 * line now; under sanitizers this says more. */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/topo/log_capture.h"
#include "tests/topo/text_cases.h"
#include "topo/span_order.h"

#define CRASHERS SPAN_TEST_DATA "/crashers"

static void read_again(const char *path)
{
	span_topo *topo = NULL;
	span_order *order = NULL;
	size_t bytes;
	char *text = text_of(path, &bytes);
	FILE *file;

	log_capture();
	if (span_topo_parse(text, bytes, path, NULL, &topo))
		cr_assert_eq(log_captured_count(), 1, "%s", path);
	cr_assert_null(strchr(log_captured(), '\n'), "%s", log_captured());
	span_topo_free(topo);
	free(text);
	file = fopen(path, "r");
	cr_assert(file);
	span_order_load(file, path, &order);
	fclose(file);
	span_order_free(order);
}

Test(crashers, are_judged, .timeout = 120)
{
	struct dirent **entries;
	int n = scandir(CRASHERS, &entries, NULL, alphasort);

	cr_assert_geq(n, 0);
	for (int i = 0; i < n; i++) {
		char path[1024];

		snprintf(path, sizeof(path), CRASHERS "/%s", entries[i]->d_name);
		if (entries[i]->d_name[0] != '.' && !strstr(entries[i]->d_name, ".md"))
			read_again(path);
		free(entries[i]);
	}
	free(entries);
}
