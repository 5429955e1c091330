#include "tests/attention/guarded.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

/* | guard | data in whole pages | guard | */
void *guarded_take(guarded_pool *pool, size_t bytes, guarded_edge edge)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t room = (bytes + page - 1) / page * page;
	char *base = mmap(NULL, room + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *data;

	check(base == MAP_FAILED, "mmap");
	check(room && mprotect(base + page, room, PROT_READ | PROT_WRITE) != 0, "mprotect");
	check(pool->n == GUARDED_MOST, "guarded_take: too many buffers");
	pool->mapping[pool->n].base = base;
	pool->mapping[pool->n++].bytes = room + 2 * page;
	data = base + page + (edge == GUARD_END ? room - bytes : 0);
	memset(data, 0xff, bytes);
	return data;
}

void guarded_release(guarded_pool *pool)
{
	for (int i = 0; i < pool->n; i++)
		munmap(pool->mapping[i].base, pool->mapping[i].bytes);
	pool->n = 0;
}
