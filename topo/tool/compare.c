/* Comparing two topologies. */
#include "topo/tool/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"

/* The devices of a host on both sides, and who is whom. */
struct sides {
	int32_t nx, ny;
	int32_t *x, *y;       /* node numbers */
	int32_t *y_of;        /* [nx] index in y, or -1 */
	bool *taken;          /* [ny] */
};

/* --- keeping what was found --------------------------------------------------------------- */

/* Room for one more in an array of such items; false: it is not kept. */
static bool make_room(void **array, int32_t n, int32_t *room, size_t bytes)
{
	int32_t wanted = *room ? *room * 2 : 64;
	void *grown;

	if (n < *room)
		return true;
	if (n >= COMPARE_MOST)
		return false;
	grown = realloc(*array, (size_t)wanted * bytes);
	if (!grown)
		return false;
	*array = grown;
	*room = wanted;
	return true;
}

static void add_device(struct comparison *comparison, int32_t x, int32_t y, const char *field)
{
	if (!make_room((void **)&comparison->devices, comparison->n_devices,
	               &comparison->device_room, sizeof(*comparison->devices)))
		comparison->dropped++;
	else
		comparison->devices[comparison->n_devices++] =
			(struct device_difference){ x, y, field };
}

static void add_path(struct comparison *comparison, const struct path_difference *difference)
{
	if (!make_room((void **)&comparison->paths, comparison->n_paths, &comparison->path_room,
	               sizeof(*comparison->paths)))
		comparison->dropped++;
	else
		comparison->paths[comparison->n_paths++] = *difference;
}

/* --- who is whom -------------------------------------------------------------------------- */

static int32_t list_devices(const span_topo *topo, int32_t host, int32_t *nodes, int32_t room)
{
	static const span_node_kind kinds[] = { SPAN_NODE_GPU, SPAN_NODE_NIC, SPAN_NODE_CPU };
	int32_t n = 0;

	if (host >= span_topo_hosts(topo))
		return 0;
	for (int i = 0; i < 3; i++)
		n += span_topo_devices(topo, kinds[i], host, nodes ? nodes + n : NULL,
		                       nodes ? room - n : 0);
	return n;
}

/* The number in an id such as "h0/gpu3", with the kind before it. */
static const char *local_id(const span_topo_node *node)
{
	const char *slash = strchr(node->id, '/');

	return slash ? slash + 1 : node->id;
}

static bool same_device(const span_topo_node *a, const span_topo_node *b, bool by_bus)
{
	if (a->kind != b->kind)
		return false;
	if (by_bus)
		return *a->bus && strcmp(a->bus, b->bus) == 0 && strcmp(a->name, b->name) == 0;
	return strcmp(local_id(a), local_id(b)) == 0;
}

static void match(const struct comparison *comparison, struct sides *sides, bool by_bus)
{
	span_topo_node a, b;

	for (int32_t i = 0; i < sides->nx; i++) {
		if (sides->y_of[i] >= 0)
			continue;
		span_topo_node_at(comparison->x, sides->x[i], &a);
		for (int32_t k = 0; k < sides->ny && sides->y_of[i] < 0; k++) {
			if (sides->taken[k])
				continue;
			span_topo_node_at(comparison->y, sides->y[k], &b);
			if (same_device(&a, &b, by_bus)) {
				sides->y_of[i] = k;
				sides->taken[k] = true;
			}
		}
	}
}

/* --- what differs ------------------------------------------------------------------------- */

static bool differ_text(const char *a, const char *b)
{
	return *a && *b && strcmp(a, b) != 0;
}

static bool differ_number(int32_t a, int32_t b)
{
	return a >= 0 && b >= 0 && a != b;
}

static void compare_device(struct comparison *comparison, int32_t x, int32_t y)
{
	span_topo_node a, b;

	span_topo_node_at(comparison->x, x, &a);
	span_topo_node_at(comparison->y, y, &b);
	if (differ_text(a.bus, b.bus))
		add_device(comparison, x, y, "bus");
	if (differ_text(a.name, b.name))
		add_device(comparison, x, y, "name");
	if (differ_number(a.dev, b.dev))
		add_device(comparison, x, y, "dev");
	if (differ_number(a.rank, b.rank))
		add_device(comparison, x, y, "rank");
}

static span_status compare_path(struct comparison *comparison, const struct sides *sides,
                                int32_t from, int32_t to)
{
	span_topo_path a, b;
	span_status status = span_topo_path_between(comparison->x, sides->x[from], sides->x[to],
	                                            &a);

	if (!status)
		status = span_topo_path_between(comparison->y, sides->y[sides->y_of[from]],
		                                sides->y[sides->y_of[to]], &b);
	if (status)
		return status;
	/* Bandwidths went through 32-bit floats or decimal texts on their way here. */
	if (a.path_class != b.path_class ||
	    fabs(a.bandwidth - b.bandwidth) > 1e-6 * fmax(a.bandwidth, b.bandwidth)) {
		struct path_difference difference = { sides->x[from], sides->x[to], a.path_class,
			                              b.path_class, a.bandwidth, b.bandwidth };

		add_path(comparison, &difference);
	}
	return SPAN_OK;
}

static span_status compare_sides(struct comparison *comparison, struct sides *sides)
{
	span_status status = SPAN_OK;

	match(comparison, sides, true);
	match(comparison, sides, false);
	for (int32_t i = 0; i < sides->nx; i++) {
		if (sides->y_of[i] < 0)
			add_device(comparison, sides->x[i], -1, NULL);
		else
			compare_device(comparison, sides->x[i], sides->y[sides->y_of[i]]);
	}
	for (int32_t k = 0; k < sides->ny; k++)
		if (!sides->taken[k])
			add_device(comparison, -1, sides->y[k], NULL);
	for (int32_t i = 0; i < sides->nx; i++)
		for (int32_t k = 0; !status && k < sides->nx; k++)
			if (i != k && sides->y_of[i] >= 0 && sides->y_of[k] >= 0)
				status = compare_path(comparison, sides, i, k);
	return status;
}

static span_status compare_hosts(struct comparison *comparison, int32_t host)
{
	struct sides sides = { .nx = list_devices(comparison->x, host, NULL, 0),
		               .ny = list_devices(comparison->y, host, NULL, 0) };
	size_t nx = (size_t)sides.nx + 1, ny = (size_t)sides.ny + 1;
	span_status status;

	sides.x = calloc(nx, sizeof(*sides.x));
	sides.y = calloc(ny, sizeof(*sides.y));
	sides.y_of = malloc(nx * sizeof(*sides.y_of));
	sides.taken = calloc(ny, sizeof(*sides.taken));
	if (!sides.x || !sides.y || !sides.y_of || !sides.taken) {
		status = span_fail(SPAN_ENOMEM, "diff: no memory for the devices of a host");
	} else {
		list_devices(comparison->x, host, sides.x, sides.nx);
		list_devices(comparison->y, host, sides.y, sides.ny);
		for (int32_t i = 0; i < sides.nx; i++)
			sides.y_of[i] = -1;
		status = compare_sides(comparison, &sides);
	}
	free(sides.x);
	free(sides.y);
	free(sides.y_of);
	free(sides.taken);
	return status;
}

/* --- kinds of hosts ----------------------------------------------------------------------- */

/* A machine, and which of its hosts. */
struct kind {
	int32_t machine, host;
};

/* Kinds of all hosts of a topology, by host. */
static struct kind *list_kinds(const span_topo *topo)
{
	int32_t n = 0;
	struct kind *kinds = malloc(((size_t)span_topo_hosts(topo) + 1) * sizeof(*kinds));

	for (int32_t p = 0; kinds && p < topo->n_places; p++) {
		int32_t machine = topo->places[p].machine;

		for (int32_t h = 0; h < topo->machines[machine]->n_hosts; h++)
			kinds[n++] = (struct kind){ machine, h };
	}
	return kinds;
}

enum { PAIRS = 64 };

/* Whether two kinds met before; remembers the first PAIRS that did. */
static bool met_before(struct kind (*met)[2], int *n, struct kind x, struct kind y)
{
	for (int i = 0; i < *n; i++)
		if (met[i][0].machine == x.machine && met[i][0].host == x.host &&
		    met[i][1].machine == y.machine && met[i][1].host == y.host)
			return true;
	if (*n < PAIRS) {
		met[*n][0] = x;
		met[*n][1] = y;
		++*n;
	}
	return false;
}

static span_status compare_all(struct comparison *comparison, const struct kind *kinds_x,
                               const struct kind *kinds_y)
{
	int32_t x = span_topo_hosts(comparison->x), y = span_topo_hosts(comparison->y);
	span_status status = SPAN_OK;
	struct kind met[PAIRS][2];
	int n = 0;

	for (int32_t host = 0; !status && (host < x || host < y); host++) {
		if (host < x && host < y && met_before(met, &n, kinds_x[host], kinds_y[host]))
			comparison->hosts_alike++;
		else
			status = compare_hosts(comparison, host);
	}
	return status;
}

/* --- the fabric --------------------------------------------------------------------------- */

/* Switches are the same when their numbers are. */
static void compare_switches(struct comparison *comparison)
{
	const span_topo *x = comparison->x, *y = comparison->y;
	int32_t first_x = span_topo_nodes(x) - x->n_switches;
	int32_t first_y = span_topo_nodes(y) - y->n_switches;

	for (int32_t i = 0; i < x->n_switches || i < y->n_switches; i++) {
		bool in_x = i < x->n_switches, in_y = i < y->n_switches;
		int32_t a = in_x ? first_x + i : -1, b = in_y ? first_y + i : -1;

		if (!in_x || !in_y) {
			add_device(comparison, a, b, NULL);
			continue;
		}
		if (differ_text(x->switches[i].name, y->switches[i].name))
			add_device(comparison, a, b, "name");
		if (x->switches[i].parent != y->switches[i].parent)
			add_device(comparison, a, b, "switch above");
		if (x->switches[i].up_bandwidth != y->switches[i].up_bandwidth)
			add_device(comparison, a, b, "uplinks");
		if (x->switches[i].rails != y->switches[i].rails)
			add_device(comparison, a, b, "rails");
	}
}

/* Hosts that hang from other leaves. */
static void compare_leaves(struct comparison *comparison)
{
	int32_t places = comparison->x->n_places < comparison->y->n_places
	                         ? comparison->x->n_places : comparison->y->n_places;

	for (int32_t i = 0; i < places; i++) {
		int32_t x = comparison->x->places[i].first_node;
		int32_t y = comparison->y->places[i].first_node;

		if (comparison->x->places[i].leaf != comparison->y->places[i].leaf)
			add_device(comparison, x, y, "switch above");
	}
}

span_status compare_topologies(const span_topo *x, const span_topo *y,
                               struct comparison *comparison)
{
	struct kind *kinds_x = list_kinds(x), *kinds_y = list_kinds(y);
	span_status status;

	*comparison = (struct comparison){ .x = x, .y = y };
	if (!kinds_x || !kinds_y)
		status = span_fail(SPAN_ENOMEM, "diff: no memory for the kinds of hosts");
	else
		status = compare_all(comparison, kinds_x, kinds_y);
	if (!status) {
		compare_switches(comparison);
		compare_leaves(comparison);
	}
	free(kinds_x);
	free(kinds_y);
	return status;
}

void comparison_free(struct comparison *comparison)
{
	free(comparison->devices);
	free(comparison->paths);
	*comparison = (struct comparison){ 0 };
}
