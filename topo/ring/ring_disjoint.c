/* Rings that share no lane: one after another, each by a walk in depth that turns back where
 * what is left can hold no ring; and back into the rings before where no further one is found.
 * Whether there are so many rings is a hard question, so the walk gives up after a number of
 * steps, and then fewer rings are looked for. */
#include "topo/ring/ring.h"

#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* Neighbours that are looked at for one number of rings: some milliseconds. */
#define LOOKS 2000000
#define RINGS_MOST 64

struct weave {
	int32_t n;
	int32_t wanted;   /* rings */
	int32_t looks;    /* left */
	int32_t *lanes;   /* [n][n] symmetric: those that no ring has taken */
	int32_t *degree;  /* [n] sums of its rows */
	int32_t *rings;   /* [wanted][n] */
	uint8_t *used;    /* [wanted][n] devices of each ring so far */
	int32_t *next;    /* [wanted][n] what each place tries next */
};

static int32_t *lane(const struct weave *weave, int32_t a, int32_t b)
{
	return &weave->lanes[(size_t)a * weave->n + b];
}

static void take(struct weave *weave, int32_t a, int32_t b, int32_t count)
{
	if (weave->n == 2 && b == 0)
		return; /* the way back on the lane of the way there */
	*lane(weave, a, b) -= count;
	*lane(weave, b, a) -= count;
	weave->degree[a] -= count;
	weave->degree[b] -= count;
}

/* Whether a device that the ring has not reached can still be passed through by it and by all
 * that follow: two lanes a ring. */
static bool is_hopeless(const struct weave *weave, int32_t ring, int32_t device)
{
	return weave->degree[device] < (weave->n == 2 ? 1 : 2) * (weave->wanted - ring);
}

/* Put the next device that fits at place `place` of a ring; false when there is none. The last
 * place must lead back to the first. */
static bool put_next(struct weave *weave, int32_t ring, int32_t place)
{
	size_t row = (size_t)ring * weave->n;
	int32_t *order = weave->rings + row, from = order[place - 1], n = weave->n;

	for (int32_t to = weave->next[row + place]; to < n; to++) {
		weave->looks--;
		if (weave->used[row + to] || *lane(weave, from, to) < 1 ||
		    is_hopeless(weave, ring, to))
			continue;
		if (n > 2 && place == n - 1 && *lane(weave, to, 0) < 1)
			continue;
		weave->next[row + place] = to + 1;
		weave->used[row + to] = 1;
		order[place] = to;
		take(weave, from, to, 1);
		if (place == n - 1)
			take(weave, to, 0, 1);
		return true;
	}
	return false;
}

static void take_back(struct weave *weave, int32_t ring, int32_t place)
{
	size_t row = (size_t)ring * weave->n;
	int32_t *order = weave->rings + row;

	weave->used[row + order[place]] = 0;
	take(weave, order[place - 1], order[place], -1);
	if (place == weave->n - 1)
		take(weave, order[place], 0, -1);
}

static void begin_ring(struct weave *weave, int32_t ring)
{
	size_t row = (size_t)ring * weave->n;

	memset(weave->used + row, 0, (size_t)weave->n);
	weave->used[row] = 1;
	weave->rings[row] = 0;
	weave->next[row + 1] = 1;
}

/* One walk through all places of all rings. */
static bool find_rings(struct weave *weave)
{
	int32_t ring = 0, place = 1, n = weave->n;

	begin_ring(weave, 0);
	while (weave->looks > 0) {
		if (put_next(weave, ring, place)) {
			if (++place == n) {
				if (++ring == weave->wanted)
					return true;
				place = 1;
				begin_ring(weave, ring);
			} else {
				weave->next[(size_t)ring * n + place] = 1;
			}
			continue;
		}
		if (--place == 0) {
			if (ring-- == 0)
				return false;
			place = n - 1;
		}
		take_back(weave, ring, place);
	}
	return false;
}

/* Begin again with all lanes. Returns the smallest degree. */
static int32_t fill_lanes(struct weave *weave, const int32_t *lanes)
{
	int32_t n = weave->n, least = INT32_MAX;

	for (int32_t a = 0; a < n; a++) {
		weave->degree[a] = 0;
		for (int32_t b = 0; b < n; b++) {
			int32_t there = lanes[(size_t)a * n + b], back = lanes[(size_t)b * n + a];

			*lane(weave, a, b) = a == b ? 0 : there < back ? there : back;
			weave->degree[a] += *lane(weave, a, b);
		}
		if (least > weave->degree[a])
			least = weave->degree[a];
	}
	return least;
}

static span_status check_lanes(const int32_t *lanes, int32_t n, int32_t most,
                               const int32_t *rings, const int32_t *found)
{
	if (!lanes || !rings || !found)
		return span_fail(SPAN_EINVAL, "span_ring_disjoint: %s is NULL",
		                 !lanes ? "lanes" : !rings ? "rings" : "found");
	if (n < 2 || n > SPAN_RING_DEVICES)
		return span_fail(SPAN_EINVAL, "span_ring_disjoint: n is %d; it is from 2 to %d "
		                 "devices", n, SPAN_RING_DEVICES);
	if (most < 1 || most > RINGS_MOST)
		return span_fail(SPAN_EINVAL, "span_ring_disjoint: most is %d; it is from 1 to %d "
		                 "rings", most, RINGS_MOST);
	for (int32_t i = 0; i < n * n; i++)
		if (i % (n + 1) != 0 && (lanes[i] < 0 || lanes[i] > 1000))
			return span_fail(SPAN_EINVAL, "span_ring_disjoint: %d lanes from %d to %d; "
			                 "they are from 0 to 1000", lanes[i], i / n, i % n);
	return SPAN_OK;
}

static span_status create_weave(struct weave *weave, int32_t n, int32_t most)
{
	size_t devices = (size_t)n, places = (size_t)most * devices;

	weave->n = n;
	weave->lanes = malloc(devices * devices * sizeof(int32_t));
	weave->degree = malloc(devices * sizeof(int32_t));
	weave->rings = malloc(places * sizeof(int32_t));
	weave->next = malloc(places * sizeof(int32_t));
	weave->used = malloc(places);
	return weave->lanes && weave->degree && weave->rings && weave->next && weave->used
	               ? SPAN_OK
	               : span_fail(SPAN_ENOMEM, "span_ring_disjoint: no memory for %d rings of "
	                           "%d devices", most, n);
}

static void free_weave(struct weave *weave)
{
	free(weave->lanes);
	free(weave->degree);
	free(weave->rings);
	free(weave->next);
	free(weave->used);
}

span_status span_ring_disjoint(const int32_t *lanes, int32_t n, int32_t most, int32_t *rings,
                               int32_t *found)
{
	struct weave weave = { 0 };
	span_status status = check_lanes(lanes, n, most, rings, found);
	int32_t least;

	if (status)
		return status;
	status = create_weave(&weave, n, most);
	if (!status) {
		/* Of two devices a ring takes one lane, there and back; of more, two of each. */
		least = fill_lanes(&weave, lanes) / (n == 2 ? 1 : 2);
		*found = 0;
		for (int32_t k = most < least ? most : least; k > 0 && !*found; k--) {
			fill_lanes(&weave, lanes);
			weave.wanted = k;
			weave.looks = LOOKS;
			if (find_rings(&weave))
				*found = k;
		}
		memcpy(rings, weave.rings, (size_t)*found * (size_t)n * sizeof(*rings));
	}
	free_weave(&weave);
	return status;
}
