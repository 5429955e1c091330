/* A cluster description: a text file with a line for each kind of host. Private.
 *
 *     # the small cluster
 *     hosts node[01-16] like h100.xml leaf 4:1
 *     hosts 2 like "synthetic:gpus:4 nics:1"
 *
 * One fact a line, in any order; words are separated by blanks, '#' begins a comment, a word
 * with blanks in it stands in "quotation marks".
 *
 *     hosts WHO like SOURCE [leaf [NAME] [DOWN:UP]] [per-leaf N] [rails N] [nic RATE]
 *     leaf NAME WHO [DOWN:UP] [rails N]
 *     spine NAME SWITCHES [DOWN:UP]
 *
 * WHO is how many hosts, which are then called host0, host1 and so on by their number in the
 * file, or their names: words such as node[01-16,20],login1; numbers keep their leading zeros.
 * SOURCE is a file of any kind that describes one machine, relative to the description;
 * "host" is this one, "synthetic:..." a line of words.
 *
 * `leaf` puts the hosts of the line on a leaf switch of their own; `leaf 4:1` has uplinks a
 * quarter as fast as the NICs below it together; without a ratio they are as fast. `per-leaf 8`
 * takes a new leaf for every 8 hosts. A `leaf` line does the same for hosts by name, a `spine`
 * line for leaf switches and spines. `rails 8` makes of a leaf eight switches side by side: NIC k
 * of each host is on the k-th of them (or on that of its rail, where the source names rails),
 * each has its eighth of the uplinks, and rails meet above the leaf only.
 *
 * Switches that nothing is above are under one more, called "core", with all the hosts that are
 * on no leaf; without any switch all hosts are on one flat network. `nic 400Gb/s` is the line
 * rate of those ports whose source says none. */
#ifndef SPAN_CLUSTER_H
#define SPAN_CLUSTER_H

#include "topo/read/lines.h"

#define CLUSTER_MAX_KINDS 64        /* different SOURCEs */
#define CLUSTER_NAME_BYTES 64       /* of a host or switch, with its 0 */

/* Names and their numbers: a hash table that does not own the names. */
struct names {
	const char **name;
	int32_t *number;
	size_t size, used;          /* size is a power of two */
};

struct cluster_kind {
	char *source;
	double nic;                 /* of `nic`, or 0 */
	int32_t hosts;              /* of its machine */
};

/* What stands once: usually one host. */
struct cluster_host {
	char *name;                 /* NULL: several hosts, with names of their own */
	int32_t kind, leaf;         /* leaf: or -1 */
	int32_t line;
};

struct cluster_switch {
	char *name;
	int32_t parent, depth;      /* parent: or -1 */
	int32_t line;               /* where it was named, or where its parent was */
	int32_t rails;
	double ratio, below;        /* below: what its NICs and switches send up */
	bool spine;
};

struct cluster {
	const struct source *source;
	struct lines lines;
	span_topo *topo;
	struct cluster_kind kinds[CLUSTER_MAX_KINDS];
	int32_t n_kinds;
	struct cluster_host *hosts;
	struct cluster_switch *switches;
	int32_t n_hosts, host_room, n_switches, switch_room;
	int32_t host_number;        /* hosts so far, for their names */
	struct names host_names, switch_names;
};

/* --- cluster_names.c --------------------------------------------------------------------- */

/* Add a name, or find it: *added tells. */
span_status names_add(struct names *names, const char *name, int32_t number, bool *added);
int32_t names_find(const struct names *names, const char *name); /* its number, or -1 */

/* Call `each` for every name of a word such as node[01-16],login1. */
typedef span_status name_function(struct cluster *cluster, const char *name, void *user);
span_status cluster_expand(struct cluster *cluster, const char *word, name_function *each,
                           void *user);

/* --- cluster_kind.c ---------------------------------------------------------------------- */

/* The kind of hosts that a source describes: its machine is read when it is first named. */
span_status cluster_find_kind(struct cluster *cluster, const char *name, double nic,
                              int32_t *kind);

/* --- cluster_fabric.c -------------------------------------------------------------------- */

span_status cluster_add_switch(struct cluster *cluster, const char *name, bool spine,
                               int32_t *number);
span_status cluster_add_host(struct cluster *cluster, const char *name, int32_t kind,
                             int32_t leaf);

/* Add the switches and the places to the topology, when all lines were read. */
span_status cluster_build(struct cluster *cluster);

#endif
