#include "plugin/nccl_abi.h"

#include <criterion/criterion.h>
#include <stddef.h>
#include <string.h>

/* Sizes and offsets as the released libraries have them (`ptype /o ncclTuner_v6_t` in gdb on
 * libnccl.so.2 2.32.3, and so on). */
Test(nccl_abi, tuners_have_the_layout_of_the_released_libraries)
{
	cr_assert_eq(sizeof(struct nccl_tuner_v1), 32);
	cr_assert_eq(sizeof(struct nccl_tuner_v2), 32);
	cr_assert_eq(sizeof(struct nccl_tuner_v3), 32);
	cr_assert_eq(sizeof(struct nccl_tuner_v4), 32);
	cr_assert_eq(sizeof(struct nccl_tuner_v5), 32);
	cr_assert_eq(sizeof(struct nccl_tuner_v6), 40);
#define SAME_HEAD(v, end)                                                  \
	cr_assert_eq(offsetof(struct nccl_tuner_##v, name), 0);            \
	cr_assert_eq(offsetof(struct nccl_tuner_##v, init), 8);            \
	cr_assert_eq(offsetof(struct nccl_tuner_##v, get_coll_info), 16);  \
	cr_assert_eq(offsetof(struct nccl_tuner_##v, end), 24)
	SAME_HEAD(v1, destroy);
	SAME_HEAD(v2, destroy);
	SAME_HEAD(v3, destroy);
	SAME_HEAD(v4, destroy);
	SAME_HEAD(v5, finalize);
	SAME_HEAD(v6, finalize);
#undef SAME_HEAD
	cr_assert_eq(offsetof(struct nccl_tuner_v6, get_chunk_size), 32);
}

Test(nccl_abi, what_tuners_are_told_has_the_layout_of_the_released_libraries)
{
	cr_assert_eq(sizeof(struct nccl_nvl_domains), 12);
	cr_assert_eq(offsetof(struct nccl_nvl_domains, min_ranks), 4);
	cr_assert_eq(offsetof(struct nccl_nvl_domains, max_ranks), 8);
	cr_assert_eq(sizeof(struct nccl_tuner_constants), 1152);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, hw_latencies), 168);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, ll_max_bws), 672);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, per_ch_max_ring_ll128_bws), 768);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, per_ch_max_tree_ll128_bws), 864);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, per_ch_max_tree_bws), 960);
	cr_assert_eq(offsetof(struct nccl_tuner_constants, per_ch_max_nvls_tree_bws), 1056);
}

Test(nccl_abi, every_tuner_has_a_name_and_all_functions)
{
#define COMPLETE(v, end)                                   \
	cr_assert_str_eq(ncclTunerPlugin_##v.name, "SPAN"); \
	cr_assert(ncclTunerPlugin_##v.init);               \
	cr_assert(ncclTunerPlugin_##v.get_coll_info);      \
	cr_assert(ncclTunerPlugin_##v.end)
	COMPLETE(v1, destroy);
	COMPLETE(v2, destroy);
	COMPLETE(v3, destroy);
	COMPLETE(v4, destroy);
	COMPLETE(v5, finalize);
	COMPLETE(v6, finalize);
#undef COMPLETE
	cr_assert(ncclTunerPlugin_v6.get_chunk_size);
}
