/* Which kernels run: what this processor and its operating system offer, and SPAN_ISA. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "attention/kernels/kernel.h"
#include "topo/log.h"

#if defined(__x86_64__)
#include <cpuid.h>

extern const span_kernels span_kernels_avx2;
extern const span_kernels span_kernels_avx512;

/* Bits of cpuid and of XCR0: Intel SDM volume 2A, CPUID; volume 1, section 13.3. */
enum {
	LEAF1_ECX_PCLMULQDQ = 1 << 1,
	LEAF1_ECX_FMA = 1 << 12,
	LEAF1_ECX_OSXSAVE = 1 << 27,
	LEAF1_ECX_AVX = 1 << 28,
	LEAF1_ECX_F16C = 1 << 29,
	LEAF7_EBX_AVX2 = 1 << 5,
	LEAF7_EBX_AVX512F = 1 << 16,
	LEAF7_EBX_AVX512DQ = 1 << 17,
	LEAF7_EBX_AVX512BW = 1 << 30,
	XCR0_YMM = 0x06, /* the system saves xmm and the upper halves of ymm */
	XCR0_ZMM = 0xe6  /* and masks, the upper halves of zmm, zmm16 to zmm31 */
};
#define LEAF7_EBX_AVX512VL (1u << 31)

static int has(unsigned int word, unsigned int bits)
{
	return (word & bits) == bits;
}

/* The number of tables this processor runs: 1 ref, 2 and avx2, 3 and avx512. */
static int ask_processor(void)
{
	const unsigned int avx512 = LEAF7_EBX_AVX512F | LEAF7_EBX_AVX512DQ |
	                            LEAF7_EBX_AVX512BW | LEAF7_EBX_AVX512VL;
	unsigned int eax, ebx, ecx, edx, features, xcr0;

	if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx))
		return 1;
	features = ecx;
	if (!has(features, LEAF1_ECX_OSXSAVE | LEAF1_ECX_AVX | LEAF1_ECX_FMA | LEAF1_ECX_F16C |
	                   LEAF1_ECX_PCLMULQDQ))
		return 1;
	if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) || !has(ebx, LEAF7_EBX_AVX2))
		return 1;
	__asm__("xgetbv" : "=a"(xcr0), "=d"(edx) : "c"(0));
	if (!has(xcr0, XCR0_YMM))
		return 1;
	return has(ebx, avx512) && has(xcr0, XCR0_ZMM) ? 3 : 2;
}

static const span_kernels *const tables[] = { &span_kernels_ref, &span_kernels_avx2,
	                                      &span_kernels_avx512 };
#else
static int ask_processor(void)
{
	return 1;
}

static const span_kernels *const tables[] = { &span_kernels_ref };
#endif

/* Asked once: in a virtual machine each cpuid leaves it, 90 to 140 us for the three (a virtual Xeon,
 * 2026-11-30), and every function of span_block.h asks. Threads that ask at once get one answer. */
static int count_tables(void)
{
	static atomic_int known;
	int tables_here = atomic_load_explicit(&known, memory_order_relaxed);

	if (tables_here == 0) {
		tables_here = ask_processor();
		atomic_store_explicit(&known, tables_here, memory_order_relaxed);
	}
	return tables_here;
}

const span_kernels *span_kernels_at(int i)
{
	return i >= 0 && i < count_tables() ? tables[i] : NULL;
}

/* "ref, avx2, avx512", as far as they run here. */
static const char *list_names(char *text, size_t size)
{
	const span_kernels *table;

	text[0] = '\0';
	for (int i = 0; (table = span_kernels_at(i)); i++) {
		if (i)
			strncat(text, ", ", size - strlen(text) - 1);
		strncat(text, table->name, size - strlen(text) - 1);
	}
	return text;
}

span_status span_kernels_select(const span_kernels **kernels)
{
	const char *isa = getenv("SPAN_ISA");
	const span_kernels *table;
	char names[64];

	if (!isa || !*isa) {
		*kernels = tables[count_tables() - 1];
		return SPAN_OK;
	}
	for (int i = 0; (table = span_kernels_at(i)); i++)
		if (strcmp(isa, table->name) == 0) {
			*kernels = table;
			return SPAN_OK;
		}
	return span_fail(SPAN_EINVAL, "SPAN_ISA is \"%s\"; this processor runs %s", isa,
	                 list_names(names, sizeof(names)));
}
