/* Which kind of source a text is, by its content: names and endings of files say little.
 * What is recognised as something we do not read is refused here, with the remedy. */
#include <ctype.h>
#include <string.h>

#include "topo/log.h"
#include "topo/read/reader.h"

#define ACCEPTED \
	"hwloc XML (lstopo --of xml), NCCL's XML (NCCL_TOPO_DUMP_FILE), the text of " \
	"\"nvidia-smi topo -m\" or \"rocm-smi --showtopo\", a cluster description, " \
	"\"synthetic:...\" or JSON of span-topo"

/* A text being looked at; it is followed by a 0. */
struct view {
	const char *at, *end;
};

/* Something that is recognised by a string, and what is said of it. */
struct refusal {
	const char *mark, *what, *remedy;
};

static enum source_kind refuse(const struct source *source, span_status status, const char *what,
                               const char *remedy, span_status *refused)
{
	*refused = span_fail(status, "%.200s: this is %s; %s", source->name, what, remedy);
	return SOURCE_REFUSED;
}

static bool starts(struct view view, const char *word)
{
	size_t bytes = strlen(word);

	return (size_t)(view.end - view.at) >= bytes && memcmp(view.at, word, bytes) == 0;
}

/* Texts with a 0 inside were refused before. */
static const char *find(struct view view, const char *word)
{
	const char *found = strstr(view.at, word);

	return found && found + strlen(word) <= view.end ? found : NULL;
}

static void skip_past(struct view *view, const char *word)
{
	const char *found = find(*view, word);

	view->at = found ? found + strlen(word) : view->end;
}

static void skip_blanks(struct view *view)
{
	while (view->at < view->end && isspace((unsigned char)*view->at))
		view->at++;
}

/* --- what is no text ------------------------------------------------------------------- */

static const struct refusal binaries[] = {
	{ "\x89PNG", "a PNG picture", "export the machine as XML: lstopo --of xml FILE" },
	{ "\x1f\x8b", "compressed (gzip)", "unpack it first, or: zcat FILE | span-topo show -" },
	{ "BZh", "compressed (bzip2)", "unpack it first, or: bzcat FILE | span-topo show -" },
	{ "\xfd\x37zXZ", "compressed (xz)", "unpack it first, or: xzcat FILE | span-topo show -" },
	{ "\x28\xb5\x2f\xfd", "compressed (zstd)",
	  "unpack it first, or: zstdcat FILE | span-topo show -" },
	{ "PK\x03\x04", "a ZIP archive", "unpack it and name the file inside" },
	{ "\177ELF", "a program or library", "a topology source is " ACCEPTED },
	{ "%PDF", "a PDF document", "export the machine as XML: lstopo --of xml FILE" },
	{ "\xff\xfe", "text in UTF-16",
	  "save it as UTF-8 (PowerShell: nvidia-smi topo -m | Out-File -Encoding utf8 FILE)" },
	{ "\xfe\xff", "text in UTF-16", "save it as UTF-8: iconv -f UTF-16 -t UTF-8 FILE" },
};

/* Whether there are bytes that no text has; ESC and friends are part of copied terminals. */
static bool has_binary_bytes(struct view view)
{
	for (; view.at < view.end; view.at++) {
		unsigned char c = (unsigned char)*view.at;

		if ((c < ' ' && !isspace(c) && c != 033 && c != '\b' && c != '\a') || c == 0x7f)
			return true;
	}
	return false;
}

/* --- XML ------------------------------------------------------------------------------- */

static const struct refusal xml_roots[] = {
	{ "graphs", "NCCL's dump of the rings and trees it chose (NCCL_GRAPH_DUMP_FILE)",
	  "it has no machine in it; set NCCL_TOPO_DUMP_FILE=FILE and read that" },
	{ "list", "the XML of lshw", "hwloc's is read: lstopo --of xml FILE" },
	{ "node", "the XML of lshw", "hwloc's is read: lstopo --of xml FILE" },
	{ "nvidia_smi_log", "the XML of nvidia-smi -q -x",
	  "it has no connections in it; use the text of: nvidia-smi topo -m" },
	{ "svg", "a picture (SVG)", "export the machine as XML: lstopo --of xml FILE" },
	{ "html", "a web page", "a topology source is " ACCEPTED },
};

/* The start tag of the root, without its '<'; empty when the document ends before it. */
static struct view root_tag(struct view view)
{
	for (skip_blanks(&view); view.at < view.end; skip_blanks(&view)) {
		if (starts(view, "<?")) {
			skip_past(&view, "?>");
		} else if (starts(view, "<!--")) {
			skip_past(&view, "-->");
		} else if (starts(view, "<!")) {
			skip_past(&view, ">");
		} else if (*view.at == '<') {
			const char *end = find(view, ">");

			return (struct view){ view.at + 1, end ? end : view.end };
		} else {
			break;
		}
	}
	return (struct view){ view.at, view.at };
}

static bool tag_is(struct view tag, const char *name)
{
	size_t bytes = strlen(name);

	return starts(tag, name) && (tag.at + bytes == tag.end || tag.at[bytes] == '/' ||
	                             isspace((unsigned char)tag.at[bytes]));
}

/* "version" is followed by "=", perhaps blanks, and a quote of either kind. */
static bool is_version_3(struct view tag)
{
	struct view value = tag;

	skip_past(&value, "version");
	while (value.at < value.end && (isspace((unsigned char)*value.at) || *value.at == '=' ||
	                                *value.at == '"' || *value.at == '\''))
		value.at++;
	return value.at < value.end && isdigit((unsigned char)*value.at) && *value.at >= '3';
}

static enum source_kind recognise_xml(const struct source *source, struct view view,
                                      span_status *refused)
{
	struct view tag = root_tag(view);
	size_t name = 0, i;

	if (tag_is(tag, "topology"))
		return is_version_3(tag) ? SOURCE_HWLOC_XML3 : SOURCE_HWLOC_XML;
	if (tag_is(tag, "system"))
		return find(view, "<xgmi") || find(view, " gcn=") ? SOURCE_RCCL_XML : SOURCE_NCCL_XML;
	for (i = 0; i < sizeof(xml_roots) / sizeof(xml_roots[0]); i++)
		if (tag_is(tag, xml_roots[i].mark))
			return refuse(source, SPAN_EUNSUPPORTED, xml_roots[i].what,
			              xml_roots[i].remedy, refused);
	while (tag.at + name < tag.end && name < 40 &&
	       (isalnum((unsigned char)tag.at[name]) || strchr("_-.:", tag.at[name])))
		name++;
	if (!name)
		*refused = span_fail(SPAN_EPARSE, "%.200s: XML without a root element, perhaps cut "
		                     "off; <topology> (hwloc) and <system> (NCCL, RCCL) are read",
		                     source->name);
	else
		*refused = span_fail(SPAN_EUNSUPPORTED, "%.200s: XML whose root is <%.*s>; "
		                     "<topology> (hwloc) and <system> (NCCL, RCCL) are read",
		                     source->name, (int)name, tag.at);
	return SOURCE_REFUSED;
}

/* --- JSON ------------------------------------------------------------------------------ */

static enum source_kind recognise_json(const struct source *source, struct view view,
                                       span_status *refused)
{
	if (find(view, "\"span-topo\""))
		return SOURCE_JSON;
	if (find(view, "\"(Topology) "))
		return SOURCE_ROCM_SMI;
	return refuse(source, SPAN_EUNSUPPORTED, "JSON, but not of a kind that is read",
	              "read are \"span-topo convert --to json\" and \"rocm-smi --showtopo --json\"",
	              refused);
}

/* --- plain text ------------------------------------------------------------------------ */

/* Recognised anywhere in a text, in this order. */
static const struct refusal texts[] = {
	{ "# Topology file: generated", "ibnetdiscover's list of an InfiniBand fabric",
	  "fabrics are not read yet; write a cluster description: "
	  "\"hosts node[01-16] like FILE leaf 4:1\"" },
	{ "\nvendid=0x", "ibnetdiscover's list of an InfiniBand fabric",
	  "fabrics are not read yet; write a cluster description: "
	  "\"hosts node[01-16] like FILE leaf 4:1\"" },
	{ "SwitchName=", "Slurm's topology.conf",
	  "it is not read yet; write a cluster description: \"leaf NAME node[01-16]\" a switch" },
	{ "BlockName=", "Slurm's topology.conf",
	  "it is not read yet; write a cluster description: \"leaf NAME node[01-16]\" a block" },
	{ "NCCL INFO", "a log of NCCL",
	  "it has no whole topology in it; set NCCL_TOPO_DUMP_FILE=FILE and read that" },
	{ "| NVIDIA-SMI ", "the overview of nvidia-smi",
	  "it has no connections in it; use the text of: nvidia-smi topo -m" },
	{ "NS  = Not supported", "the text of nvidia-smi topo -p2p",
	  "it has no connections in it; use the text of: nvidia-smi topo -m" },
	{ "LINK TYPE TABLE", "the text of amd-smi topology", "use the text of: rocm-smi --showtopo" },
	{ "\nspan-order ", "an order of ranks, no machine", "a topology source is " ACCEPTED },
};

/* The words that begin the first line with words. */
static const struct refusal first_words[] = {
	{ "Machine (", "the text of lstopo", "hwloc's XML is read: lstopo --of xml FILE" },
	{ "span-order ", "an order of ranks, no machine", "a topology source is " ACCEPTED },
	{ "switches:", "YAML, such as a topograph model",
	  "it is not read yet; write a cluster description: \"leaf NAME node[01-16]\" a switch" },
	{ "blocks:", "YAML, such as a topograph model",
	  "it is not read yet; write a cluster description: \"leaf NAME node[01-16]\" a block" },
	{ "- topology:", "Slurm's topology.yaml",
	  "it is not read yet; write a cluster description: \"leaf NAME node[01-16]\" a switch" },
	{ "---", "YAML", "it is not read; write a cluster description: "
	  "\"hosts node[01-16] like FILE leaf 4:1\"" },
	{ "vendid=0x", "ibnetdiscover's list of an InfiniBand fabric",
	  "fabrics are not read yet; write a cluster description: "
	  "\"hosts node[01-16] like FILE leaf 4:1\"" },
};

/* The text from its first line that is neither empty nor a comment. */
static struct view first_line(struct view view)
{
	skip_blanks(&view);
	while (view.at < view.end && *view.at == '#') {
		skip_past(&view, "\n");
		skip_blanks(&view);
	}
	return view;
}

static bool first_word_is(struct view line, const char *word)
{
	size_t bytes = strlen(word);

	return starts(line, word) &&
	       (line.at + bytes == line.end || isspace((unsigned char)line.at[bytes]));
}

/* A matrix of nvidia-smi has a column or row "GPU0" beside another word of its language;
 * terminals add escape sequences. */
static bool has_matrix(struct view view)
{
	static const char *const beside[] = { "GPU", "X ", "X\t", "X\n", "X\r", "NIC", "mlx",
		                              "CPU Aff", "\033" };

	for (skip_past(&view, "GPU0"); view.at < view.end; skip_past(&view, "GPU0")) {
		struct view rest = view;
		size_t i;

		skip_blanks(&rest);
		for (i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
			if (starts(rest, beside[i]) && (rest.at > view.at || *rest.at == 033))
				return true;
	}
	return false;
}

static const struct refusal *find_refusal(const struct refusal *list, size_t n, struct view view,
                                          bool at_start)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (at_start ? starts(view, list[i].mark) : find(view, list[i].mark) != NULL)
			return &list[i];
	return NULL;
}

#define COUNT(list) (sizeof(list) / sizeof((list)[0]))

static enum source_kind recognise_text(const struct source *source, struct view view,
                                       span_status *refused)
{
	struct view line = first_line(view);
	const struct refusal *found;

	if (starts(line, "synthetic:"))
		return SOURCE_SYNTHETIC;
	if (first_word_is(line, "hosts") || first_word_is(line, "leaf") ||
	    first_word_is(line, "spine"))
		return SOURCE_CLUSTER;
	found = find_refusal(first_words, COUNT(first_words), line, true);
	if (!found)
		found = find_refusal(texts, COUNT(texts), view, false);
	if (found)
		return refuse(source, SPAN_EUNSUPPORTED, found->what, found->remedy, refused);
	if (find(view, " between two GPUs"))
		return SOURCE_ROCM_SMI;
	if (has_matrix(view))
		return SOURCE_NVIDIA_SMI;
	if (line.at == line.end)
		return refuse(source, SPAN_EPARSE, "nothing but comments",
		              "a topology source is " ACCEPTED, refused);
	return refuse(source, SPAN_EPARSE, "no topology that is known here",
	              "known are " ACCEPTED, refused);
}

enum source_kind source_recognise(const struct source *source, span_status *refused)
{
	struct view view = { source->text, source->text + source->bytes };
	const struct refusal *binary = find_refusal(binaries, COUNT(binaries), view, true);

	if (binary)
		return refuse(source, SPAN_EPARSE, binary->what, binary->remedy, refused);
	if (starts(view, "\xef\xbb\xbf"))
		view.at += 3;
	skip_blanks(&view);
	if (view.at == view.end)
		return refuse(source, SPAN_EPARSE, "empty", "a topology source is " ACCEPTED,
		              refused);
	if (has_binary_bytes(view))
		return refuse(source, SPAN_EPARSE, "no text: it has bytes that text does not have",
		              "a topology source is " ACCEPTED, refused);
	if (*view.at == '<')
		return recognise_xml(source, view, refused);
	/* "[4m" and "[1,0]<stdout>:" stand before matrices as well. */
	if (*view.at == '{' || (*view.at == '[' && !has_matrix(view)))
		return recognise_json(source, view, refused);
	return recognise_text(source, view, refused);
}
