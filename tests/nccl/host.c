/* The process that gdb drives (oracle.py starts it): opens a libnccl and stops at oracle_ready(),
 * where jobs.py takes over and calls the library's host functions through their debug
 * information. Nothing here needs a GPU, a driver or NCCL's headers.
 *
 * usage: host LIBNCCL */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define KEEP __attribute__((noinline, used))

/* Zeroed memory for the structures that gdb fills. */
KEEP void *oracle_zalloc(size_t bytes)
{
	return calloc(1, bytes ? bytes : 1);
}

KEEP void oracle_free(void *memory)
{
	free(memory);
}

/* Time for the library's own threads, which run while a call does. */
KEEP void oracle_sleep(int milliseconds)
{
	struct timespec time = { milliseconds / 1000, milliseconds % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

/* Whether a library of that name is mapped. */
KEEP int oracle_is_loaded(const char *name)
{
	void *handle = dlopen(name, RTLD_NOW | RTLD_NOLOAD);

	if (handle)
		dlclose(handle);
	return handle != NULL;
}

/* What a tuner's getCollInfo was handed last. jobs.py plugs one of the two functions below into a
 * communicator and lets the core build its cost table; the error that they return stops the
 * core before it reaches for a GPU. */
#define CAPTURE_MOST 256
#define CAPTURE_STOP 3 /* ncclInternalError */

static struct {
	int calls, func, pipe_ops, algos, protos, reg_buff;
	size_t bytes;
	float table[CAPTURE_MOST];
} oracle_capture;

static int capture(int func, size_t bytes, int pipe_ops, float **table, int algos, int protos,
                   int reg_buff)
{
	int cells = algos * protos < CAPTURE_MOST ? algos * protos : CAPTURE_MOST;

	oracle_capture.calls++;
	oracle_capture.func = func;
	oracle_capture.bytes = bytes;
	oracle_capture.pipe_ops = pipe_ops;
	oracle_capture.algos = algos;
	oracle_capture.protos = protos;
	oracle_capture.reg_buff = reg_buff;
	memcpy(oracle_capture.table, (const void *)table, sizeof(float) * (size_t)cells);
	return CAPTURE_STOP;
}

/* getCollInfo of tuner v3 (2.22, 2.23), and of v4 and later. */
KEEP int oracle_capture_v3(void *context, int func, size_t bytes, int pipe_ops, float **table,
                           int algos, int protos, int *channels)
{
	(void)context, (void)channels;
	return capture(func, bytes, pipe_ops, table, algos, protos, 0);
}

KEEP int oracle_capture_v4(void *context, int func, size_t bytes, int pipe_ops, float **table,
                           int algos, int protos, int reg_buff, int *channels)
{
	(void)context, (void)channels;
	return capture(func, bytes, pipe_ops, table, algos, protos, reg_buff);
}

KEEP int oracle_ready(void *library)
{
	return library != NULL;
}

int main(int argc, char **argv)
{
	void *library;

	if (argc != 2) {
		fprintf(stderr, "usage: %s LIBNCCL\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IONBF, 0);
	library = dlopen(argv[1], RTLD_NOW | RTLD_GLOBAL);
	if (!library) {
		fprintf(stderr, "%s\n", dlerror());
		return 1;
	}
	return !oracle_ready(library);
}
