/* A stand-in for a process with NCCL in it: loads the plugin as NCCL does, asks, unloads, again.
 *
 * usage: plugin_host OBJECT       OBJECT: what dlopen gets
 *
 * Prints what the plugin logs, and the cell it lowers in a table where Tree/LL costs least. */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>

#include "plugin/nccl_abi.h"

enum { ROUNDS = 3, CELLS = 21 };

static void logger(int level, unsigned long subsystems, const char *file, int line,
                   const char *format, ...)
{
	va_list arguments;

	(void)subsystems, (void)file, (void)line;
	printf("%d ", level);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n");
}

static void ask(const struct nccl_tuner_v4 *tuner, void *context)
{
	float costs[CELLS];
	int channels = 0;

	for (int i = 0; i < CELLS; i++)
		costs[i] = (float)(i + 1);
	if (tuner->get_coll_info(context, 4, 65536, 1, (float **)costs, 7, 3, 0, &channels))
		printf("getCollInfo failed\n");
	for (int i = 0; i < CELLS; i++)
		if (costs[i] == 0)
			printf("cell %d channels %d\n", i, channels);
}

static int round_of(const char *object)
{
	void *handle = dlopen(object, RTLD_NOW | RTLD_LOCAL), *context = NULL;
	const struct nccl_tuner_v4 *tuner;

	tuner = handle ? dlsym(handle, "ncclTunerPlugin_v4") : NULL;
	if (!tuner) {
		printf("%s\n", dlerror());
		return 1;
	}
	if (tuner->init(8, 1, logger, &context))
		printf("init failed\n");
	ask(tuner, context);
	if (tuner->destroy(context))
		printf("destroy failed\n");
	dlclose(handle);
	handle = dlopen(object, RTLD_NOW | RTLD_NOLOAD);
	if (handle)
		printf("still mapped\n");
	return handle != NULL;
}

int main(int argc, char **argv)
{
	int failed = argc != 2;

	for (int i = 0; i < ROUNDS && !failed; i++)
		failed = round_of(argv[1]);
	return failed;
}
