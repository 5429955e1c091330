/* What is wrong with a machine or cluster, and what to do about it. Private to span-topo.
 *
 * A rule is a constant: what it looks for, why that matters, what to do, and a function that
 * looks. A finding is a rule, the place where it holds, and a sentence with figures. Rules
 * for machines look once at every kind of host, however many hosts are of that kind; rules
 * for topologies look at the whole.
 *
 * Rules see the topology twice: as span-topo reads it, with known defects of the source
 * corrected, and as NCCL would believe it. What the corrections hide still harms the job that
 * NCCL runs, so it has to be told. Limits of a rule stand in the rule, with their reason. */
#ifndef SPAN_LINT_H
#define SPAN_LINT_H

#include "topo/graph/graph.h"

/* Of one rule in one kind of host this many findings are kept; the rest is counted. Findings
 * of the same text become one. */
#define LINT_MAX_OF_RULE 16

/* What a number says to its reader: errors are certainly wrong; warnings cost time, or are
 * wrong with some probability; infos are worth knowing. */
typedef enum { LINT_INFO = 0, LINT_WARNING, LINT_ERROR } lint_severity;

struct lint;

struct lint_rule {
	const char *id;        /* such as "nvlink-lost" */
	lint_severity severity;
	const char *title;     /* what it looks for, in one line */
	const char *why;       /* what it costs */
	const char *remedy;    /* what to do */
	void (*machine)(struct lint *lint);   /* looks at a kind of host; or NULL */
	void (*topology)(struct lint *lint);  /* looks at the whole; or NULL */
};

struct lint_finding {
	const struct lint_rule *rule;
	char *place;           /* the node's id, or what the source calls it; owned */
	char *text;            /* owned */
	int32_t more;          /* other nodes of the host of which the very same is true */
	int32_t hosts;         /* how many hosts of this kind there are */
	int32_t rule_number;   /* of lint_rule_at */
	int32_t number;        /* in the order of finding */
};

struct lint_report {
	int32_t n_findings, room;
	struct lint_finding *findings; /* errors first, then in the order of rules */
	int32_t *of_rule;      /* [lint_rule_count()] found by each rule, kept or not */
};

/* Look for everything. `nccl` is the same source loaded as_nccl; NULL, or one that does not
 * match node for node, leaves `topo` in its place. Returns SPAN_ENOMEM. */
span_status lint_run(const span_topo *topo, const span_topo *nccl, struct lint_report **report);
void lint_free(struct lint_report *report); /* NULL is allowed */

/* All rules, in the order of the table in README.md. */
int32_t lint_rule_count(void);
const struct lint_rule *lint_rule_at(int32_t number);
const char *lint_severity_name(lint_severity severity); /* "info", "warning", "error" */

/* --- for the rules ------------------------------------------------------------------------ */

/* What a rule is looking at. */
struct lint {
	const span_topo *topo;
	const struct machine *machine; /* as span-topo reads it; NULL for rules of the whole */
	const struct machine *nccl;    /* the same nodes, as NCCL would believe them */
	int32_t place;                 /* where it stands first */
	int32_t hosts;                 /* how often it stands: hosts of this kind */
	const struct lint_rule *rule;
	int32_t rule_number;
	int32_t kept;                  /* findings of this rule here, as far as they are kept */
	struct lint_report *report;
	span_status status;            /* SPAN_ENOMEM, once it happened */
};

/* There was no memory; told once. */
void lint_no_memory(struct lint *lint);

/* Tell a finding at a local node of the machine. */
__attribute__((format(printf, 3, 4)))
void lint_tell(struct lint *lint, int32_t node, const char *text, ...);

/* Tell a finding at a place named by the caller. */
__attribute__((format(printf, 3, 4)))
void lint_tell_at(struct lint *lint, const char *place, const char *text, ...);

/* What to call a node in a sentence: "gpu3", "nic0 (mlx5_0)". The text is `name`. */
struct lint_name {
	char text[64];
};
struct lint_name lint_name(const struct machine *machine, int32_t node);

/* Whether a GPU is NVIDIA's: RCCL writes other numbers where NCCL has the compute capability. */
bool lint_is_nvidia(const struct lint *lint, int32_t gpu);

/* Whether the source is of NCCL's or RCCL's format. */
bool lint_from_nccl(const struct lint *lint);

/* NVLinks and xgmi links that leave a GPU. */
int32_t lint_gpu_links(const struct machine *machine, int32_t gpu);

/* The link from a node to another that it has of a class, or NULL. */
const struct graph_link *lint_link(const struct machine *machine, span_link_class link_class,
                                   int32_t from, int32_t to);

/* The PCIe link from a node up to its parent, or NULL. */
const struct graph_link *lint_uplink(const struct machine *machine, int32_t node);

/* The nearest node above, itself included, of this kind, or -1. */
int32_t lint_above(const struct machine *machine, int32_t node, span_node_kind kind);

/* The next node after `node` (-1: the first) of a kind and host (-1: any), or -1. */
int32_t lint_next(const struct machine *machine, int32_t node, span_node_kind kind, int32_t host);
int32_t lint_count(const struct machine *machine, span_node_kind kind, int32_t host);

/* The path between two devices. */
const struct graph_path *lint_path(const struct machine *machine, int32_t from, int32_t to);

/* The NIC of the GPU's host with the best path (class, then bandwidth), or -1. */
int32_t lint_nearest_nic(const struct machine *machine, int32_t gpu);

/* Whether two devices are of one model, as far as the source says. */
bool lint_same_model(const struct graph_node *a, const struct graph_node *b);

/* All devices of one kind and model, with a figure of each. */
struct lint_group {
	int32_t n;
	const int32_t *nodes;
	const double *values;
	double usual;      /* the figure of more than half of them */
	int32_t n_usual;   /* how many those are; 0 when there is none */
};

/* Call `look` for each model of a kind, with the figures that `value` gives in NCCL's view. */
void lint_each_model(struct lint *lint, span_node_kind kind,
                     double (*value)(const struct machine *machine, int32_t node),
                     void (*look)(struct lint *lint, const struct lint_group *group));

/* What is known of a device by its PCI ids or compute capability; NULL: nothing. */
struct lint_model {
	const char *name;
	int32_t pcie;      /* generation of its link, 16 lanes wide; 0: not told */
	int32_t nvlinks;   /* that every such GPU has; 0: none, or it depends */
};
const struct lint_model *lint_model_of(const struct lint *lint, int32_t node);

/* Groups of GPUs joined by NVLink, NVSwitch or xgmi: group[node] is a number from 0 for GPUs,
 * -1 for other nodes. Returns how many groups; -1 when there is no memory. */
int32_t lint_islands(const struct machine *machine, int32_t *group);

/* The rules, each list ended by one without id. */
extern const struct lint_rule lint_rules_gpu[], lint_rules_nvlink[], lint_rules_pci[],
	lint_rules_nic[], lint_rules_nearest[], lint_rules_virtual[], lint_rules_numbers[],
	lint_rules_cluster[], lint_rules_source[];

#endif
