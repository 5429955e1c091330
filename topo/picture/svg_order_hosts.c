/* The hosts of a ring as a snake: those below one switch are one stop; stops that follow each other
 * and are alike stand as one stack between the first and the last of them. Which level of switches
 * that is depends on how many stops there would be. */
#include <stdlib.h>
#include <string.h>

#include "topo/log.h"
#include "topo/picture/svg_order.h"

enum { BOX = 176, ALIKE_LEAST = 4, LEVELS = 12, BY_HOST = -1 };

/* Hosts next to each other in the ring, below one switch. */
struct stretch {
	int32_t first, n;        /* places in the ring (devices) */
	int32_t hosts;
	int32_t above;           /* the switch, -1: none */
	int32_t first_place, last_place;
	uint64_t look;           /* of the machines, in order */
	span_topo_path inside;   /* the narrowest hop between its hosts; hops 0: one host */
	span_topo_path next;     /* the hop to the next stretch */
};

struct stretches {
	int32_t n;
	struct stretch *list;
};

static int32_t place_of(const struct svg_order *order, int32_t i)
{
	int32_t place, local;

	topo_locate(order->topo, span_ring_nodes(order->ring)[i], &place, &local);
	return place;
}

static span_topo_path hop_from(const struct svg_order *order, int32_t i)
{
	const int32_t *nodes = span_ring_nodes(order->ring);
	span_topo_path path = { .path_class = SPAN_PATH_DIS };

	span_topo_path_between(order->topo, nodes[i],
	                       nodes[(i + 1) % span_ring_length(order->ring)], &path);
	return path;
}

/* --- stretches ---------------------------------------------------------------------------- */

static void add_place(const struct svg_order *order, int32_t place, span_topo_path hop,
                      struct stretch *stretch)
{
	const struct place *at = &order->topo->places[place];

	stretch->look = (stretch->look ^ ((uint64_t)at->machine + 1)) * 0x9e3779b97f4a7c15u;
	if (stretch->hosts++ && (!stretch->inside.hops ||
	                         hop.bandwidth < stretch->inside.bandwidth))
		stretch->inside = hop;
	stretch->last_place = place;
}

/* The switch `level` levels above the leaf of a place; below the root where there are fewer, so
 * that what the root joins stays apart. */
static int32_t switch_above(const span_topo *topo, int32_t place, int level)
{
	int32_t here = topo->places[place].leaf;

	for (; level > 0 && here >= 0; level--) {
		int32_t parent = topo->switches[here].parent;

		if (parent < 0 || topo->switches[parent].parent < 0)
			break;
		here = parent;
	}
	return here;
}

/* Cut the ring where that switch changes, or at each host. */
static void cut(const struct svg_order *order, int level, struct stretches *all)
{
	int32_t length = span_ring_length(order->ring), last = -1;
	struct stretch *stretch = NULL;

	all->n = 0;
	for (int32_t i = 0; i < length; i++) {
		int32_t place = place_of(order, i);
		int32_t above = switch_above(order->topo, place, level);

		if (!stretch || (place != last && (level == BY_HOST || above != stretch->above))) {
			if (stretch)
				stretch->next = hop_from(order, i - 1);
			stretch = &all->list[all->n++];
			*stretch = (struct stretch){ .first = i, .above = above,
				                     .first_place = place };
		}
		if (place != last)
			add_place(order, place, i ? hop_from(order, i - 1) : (span_topo_path){ 0 },
			          stretch);
		stretch->n++;
		last = place;
	}
	if (stretch)
		stretch->next = hop_from(order, length - 1);
}

static bool same_hop(const span_topo_path *a, const span_topo_path *b)
{
	return a->path_class == b->path_class && a->bandwidth == b->bandwidth &&
	       a->hops == b->hops;
}

static bool alike(const struct stretch *a, const struct stretch *b)
{
	return a->look == b->look && a->hosts == b->hosts && a->n == b->n &&
	       (a->above < 0) == (b->above < 0) && same_hop(&a->inside, &b->inside);
}

/* How many from `first` on are alike and a hop alike apart. */
static int32_t count_alike(const struct stretches *all, int32_t first)
{
	int32_t n = 1;

	while (first + n < all->n && alike(&all->list[first], &all->list[first + n]) &&
	       (n == 1 || same_hop(&all->list[first].next, &all->list[first + n - 1].next)))
		n++;
	return n;
}

/* --- stops -------------------------------------------------------------------------------- */

static const char *name_of(const struct svg_order *order, int32_t place)
{
	const struct place *at = &order->topo->places[place];
	const struct machine *machine = order->topo->machines[at->machine];

	return at->name ? at->name : machine->n_hosts == 1 ? machine->host_names[0] : "";
}

/* "h0", or "h0 .. h15". */
static void name_hosts(const struct svg_order *order, const struct stretch *first,
                       const struct stretch *last, char *text, size_t bytes)
{
	const struct place *places = order->topo->places;
	const struct place *a = &places[first->first_place], *b = &places[last->last_place];
	int32_t end = b->first_host + order->topo->machines[b->machine]->n_hosts - 1;

	if (a->first_host == end)
		snprintf(text, bytes, "h%d", end);
	else
		snprintf(text, bytes, "h%d .. h%d", a->first_host, end);
}

/* What a stop is called: its switch, or its host. */
static void put_title(const struct svg_order *order, const struct stretch *stretch, char *text,
                      size_t bytes)
{
	if (stretch->hosts > 1 && stretch->above >= 0)
		snprintf(text, bytes, "%.48s", order->topo->switches[stretch->above].name);
	else if (stretch->hosts > 1)
		snprintf(text, bytes, "no switch");
	else
		snprintf(text, bytes, "%.48s", name_of(order, stretch->first_place));
}

static void put_hops(const char *before, const span_topo_path *hop, double narrowest, char *text,
                     size_t bytes)
{
	snprintf(text, bytes, "%s%s%s", before, snake_label_of(hop).text,
	         hop->bandwidth <= narrowest ? ", narrowest" : "");
}

/* A stretch alone. */
static void fill_one(const struct svg_order *order, const struct stretch *stretch,
                     double narrowest, struct snake_stop *stop)
{
	span_topo_node node;
	char hosts[40];

	put_title(order, stretch, stop->line[0], sizeof(stop->line[0]));
	name_hosts(order, stretch, stretch, hosts, sizeof(hosts));
	if (!*stop->line[0])
		snprintf(stop->line[0], sizeof(stop->line[0]), "%s", hosts);
	if (stretch->hosts > 1) {
		snprintf(stop->line[1], sizeof(stop->line[1]), "%s, %d hosts", hosts,
		         stretch->hosts);
		put_hops("hops ", &stretch->inside, narrowest, stop->line[2],
		         sizeof(stop->line[2]));
		stop->stack = 1;
	} else {
		span_topo_node_at(order->topo, span_ring_nodes(order->ring)[stretch->first], &node);
		snprintf(stop->line[1], sizeof(stop->line[1]), "%.30s%s%d %s%s",
		         strcmp(stop->line[0], hosts) == 0 ? "" : hosts,
		         strcmp(stop->line[0], hosts) == 0 ? "" : ", ", stretch->n,
		         node.kind == SPAN_NODE_GPU ? "GPU" : "NUMA node",
		         stretch->n == 1 ? "" : "s");
		if (order->topo->n_machines > 1)
			snprintf(stop->line[2], sizeof(stop->line[2]), "kind %d",
			         order->topo->places[stretch->first_place].machine + 1);
	}
	stop->style = stretch->hosts > 1 ? "fabric" : "host";
}

/* `n` alike ones as a stack. */
static void fill_stack(const struct svg_order *order, const struct stretch *first, int32_t n,
                       double narrowest, struct snake_stop *stop)
{
	char hosts[40];

	name_hosts(order, first, first + n - 1, hosts, sizeof(hosts));
	snprintf(stop->line[0], sizeof(stop->line[0]), "%d more alike", n);
	if (first->hosts > 1)
		snprintf(stop->line[1], sizeof(stop->line[1]), "%.30s, %d each", hosts, first->hosts);
	else
		snprintf(stop->line[1], sizeof(stop->line[1]), "%s", hosts);
	if (n > 1)
		put_hops("between ", &first->next, narrowest, stop->line[2], sizeof(stop->line[2]));
	stop->stack = 2;
	stop->style = first->hosts > 1 ? "fabric" : "host";
}

/* What is left when the page is full: all but the last. */
static void fill_rest(const struct stretches *all, int32_t first, struct snake_stop *stop)
{
	int32_t hosts = 0;

	for (int32_t i = first; i < all->n - 1; i++)
		hosts += all->list[i].hosts;
	snprintf(stop->line[0], sizeof(stop->line[0]), "%d hosts more", hosts);
	snprintf(stop->line[1], sizeof(stop->line[1]), "too uneven to be drawn");
	stop->stack = 2;
	stop->style = "host";
}

/* The hop that leads on from stretch `last`. */
static void add_hop(const struct svg_order *order, const struct stretches *all, int32_t last,
                    double narrowest, struct snake *snake)
{
	const int32_t *nodes = span_ring_nodes(order->ring);
	const struct stretch *stretch = &all->list[last];
	int32_t end = stretch->first + stretch->n;

	snake->hops[snake->n - 1] = snake_hop_of(order->topo, nodes[end - 1],
	                                         nodes[end % span_ring_length(order->ring)],
	                                         narrowest);
}

static void add_one(const struct svg_order *order, const struct stretches *all, int32_t i,
                    double narrowest, struct snake *snake)
{
	fill_one(order, &all->list[i], narrowest, &snake->stops[snake->n++]);
	add_hop(order, all, i, narrowest, snake);
}

static void fold(const struct svg_order *order, const struct stretches *all, double narrowest,
                 struct snake *snake)
{
	for (int32_t i = 0; i < all->n;) {
		int32_t n = count_alike(all, i);

		if (snake->n + 3 > SNAKE_MOST - 2 && i + n < all->n) {
			fill_rest(all, i, &snake->stops[snake->n++]);
			add_hop(order, all, all->n - 2, narrowest, snake);
			i = all->n - 1;
			n = 1;
		}
		add_one(order, all, i, narrowest, snake);
		if (n >= ALIKE_LEAST) {
			fill_stack(order, &all->list[i + 1], n - 2, narrowest,
			           &snake->stops[snake->n++]);
			add_hop(order, all, i + n - 2, narrowest, snake);
			add_one(order, all, i + n - 1, narrowest, snake);
			i += n;
		} else {
			i++;
		}
	}
}

/* How many stops there would be. */
static int32_t count_stops(const struct stretches *all)
{
	int32_t stops = 0, n;

	for (int32_t i = 0; i < all->n; i += n) {
		n = count_alike(all, i);
		stops += n < ALIKE_LEAST ? n : 3;
	}
	return stops;
}

/* Each leaf a stop, or, where that is too many, each switch above; a single leaf has each of its
 * hosts for one. */
static void cut_well(const struct svg_order *order, struct stretches *all)
{
	int level = 0;

	cut(order, level, all);
	while (all->n > 1 && count_stops(all) > SNAKE_MOST && level < LEVELS)
		cut(order, ++level, all);
	if (all->n < 2)
		cut(order, level ? level - 1 : BY_HOST, all);
}

span_status snake_of_hosts(const struct svg_order *order, double narrowest, struct snake *snake)
{
	struct stretches all = { 0 };

	*snake = (struct snake){ .closed = true };
	if (order->topo->n_places < 2)
		return SPAN_OK;
	all.list = malloc((size_t)span_ring_length(order->ring) * sizeof(*all.list));
	if (!all.list)
		return span_fail(SPAN_ENOMEM, "picture: no memory for %d hosts",
		                 order->topo->n_places);
	cut_well(order, &all);
	if (all.n > 1) {
		fold(order, &all, narrowest, snake);
		snake_lay(snake, BOX);
	}
	free(all.list);
	return SPAN_OK;
}
