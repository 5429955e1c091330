/* Between the files that read NCCL's topology XML. Private to them.
 *
 * NCCL identifies a device by its host and its PCI address, several hosts by the host_hash of
 * their <cpu>, and a network port by its host and `dev`. */
#ifndef SPAN_READ_NCCL_H
#define SPAN_READ_NCCL_H

#include "topo/read/reader.h"
#include "topo/read/xml.h"

/* What NCCL takes a PCI device for, by the beginning of its class. */
enum pci_type { PCI_BRIDGE, PCI_NVSWITCH, PCI_POWER_BRIDGE, PCI_GPU, PCI_NETWORK };

/* What a file says that is wrong, odd or left out. Each kind is told in one note, with the
 * number of times and the first line (read_nccl_note.c has the words). */
enum nccl_oddity {
	ODD_WIDTH,          /* link_width 0 or impossible */
	ODD_SPEED,          /* link_speed missing or not understood */
	ODD_IDLE_DEVICE,    /* an endpoint at Gen1 */
	ODD_IDLE_UPLINK,    /* a bridge far slower than what it carries */
	ODD_NET_SPEED,      /* speed of a port x1000 */
	ODD_NET_UNKNOWN,    /* no speed of a port */
	ODD_SM,             /* a GPU without compute capability */
	ODD_NO_RANK,        /* a GPU outside of the communicator */
	ODD_RANKS_ASSUMED,  /* no GPU has a rank */
	ODD_TEMPLATE_GPU,   /* a PCI device taken for a GPU */
	ODD_TEMPLATE_NIC,   /* ... for a network card */
	ODD_UNCLASSED,      /* a PCI leaf of no class, in a template */
	ODD_TARGET,         /* an NVLink or xGMI target that is not in the file */
	ODD_NVLINK_BANDWIDTH, /* assumed by generation */
	ODD_XGMI_IGNORED,
	ODD_XGMI_BANDWIDTH,
	ODD_SOCKET,         /* no figure for links between these processors */
	ODD_BROADCOM,       /* one switch shown as two levels */
	ODD_DUPLICATE,      /* two GPUs of one address */
	ODD_NO_DEV,         /* a port that NCCL leaves out */
	ODD_KINDS
};

/* A GPU or PCI device by what NCCL knows it by. */
struct nccl_key {
	int32_t host;
	uint64_t bus;
	int32_t order;   /* in the file: of equal ones the first counts */
	int32_t node;
};

struct nccl_keys {
	struct nccl_key *items;
	int32_t n, room;
};

struct nccl_gpu {
	const struct xml_element *element;
	int32_t node, cpu;
};

struct nccl_reader {
	const struct source *source;
	const struct xml_element *root;
	span_topo *topo;
	struct machine *machine;
	bool rccl;                /* written by AMD's RCCL */
	bool template_only;       /* no <gpu> in the file: only the PCI tree */
	bool any_rank;            /* some <gpu> has one */
	const char **host_hashes; /* [n_hosts] */
	int32_t *host_nodes;      /* [n_hosts] */
	int32_t n_hosts;
	struct nccl_keys gpu_keys, pci_keys; /* sorted before links are read */
	struct nccl_gpu *gpus;    /* in the order of the file */
	int32_t n_gpus, gpu_room;
	int32_t odd_count[ODD_KINDS], odd_line[ODD_KINDS];
};

/* --- read_nccl_value.c: what attributes say ----------------------------------------------- */

/* A number as NCCL reads it, decimal or 0x; `missing` when there is none. */
int32_t nccl_int(const struct xml_element *element, const char *name, int32_t missing);
const char *nccl_text(const struct xml_element *element, const char *name); /* "" if missing */
enum pci_type nccl_pci_type(const struct xml_element *pci);

/* Hexadecimal digits of a PCI address, without its separators. false when it has none. */
bool nccl_bus(const char *text, uint64_t *bus);

/* An error at an element. */
__attribute__((format(printf, 3, 4)))
span_status nccl_fail(const struct nccl_reader *reader, const struct xml_element *element,
                      const char *format, ...);

/* Count an oddity for the notes; then write the notes. */
void nccl_odd(struct nccl_reader *reader, enum nccl_oddity kind,
              const struct xml_element *element);
span_status nccl_notes(struct nccl_reader *reader);

/* --- read_nccl_rate.c --------------------------------------------------------------------- */

/* The link between a <pci> and what is above it. */
struct pci_rate {
	double bandwidth;
	span_confidence confidence;
	char provenance[96];
};

void nccl_pci_rate(struct nccl_reader *reader, const struct xml_element *pci,
                   struct pci_rate *rate);

/* --- read_nccl_device.c ------------------------------------------------------------------- */

/* Add what hangs from a <cpu>: cards, GPUs and PCI trees, with the links between them. */
span_status nccl_add_below_cpu(struct nccl_reader *reader, const struct xml_element *cpu,
                               int32_t host, int32_t node);

/* --- read_nccl_link.c: everything that is no tree ----------------------------------------- */

span_status nccl_add_key(struct nccl_keys *keys, int32_t host, uint64_t bus, int32_t node);
span_status nccl_add_links(struct nccl_reader *reader);

/* --- read_nccl_join.c: switches that show themselves as several --------------------------- */

/* Once all links but those between processors are there. Nodes are numbered anew. */
span_status nccl_join_switches(struct nccl_reader *reader);

#endif
