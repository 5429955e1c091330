/* Taking out of a topology what tells whose it is. Private. */
#ifndef SPAN_ANONYMISE_H
#define SPAN_ANONYMISE_H

#include "topo/graph/graph.h"

/* Hosts become host0, host1, ...; fabric switches switch0, ...; GUIDs are numbered from 1, equal
 * ones alike; the file's name goes. In every other text (names, notes, provenances) UUIDs,
 * GUIDs, MAC and IP addresses, serials (12 and more hexadecimal digits) and the names of hosts
 * and of the file are replaced by words such as "mac". PCI addresses, models, names of ports and
 * all figures stay: without them there is nothing to see. */
span_status topo_anonymise(span_topo *topo);

#endif
