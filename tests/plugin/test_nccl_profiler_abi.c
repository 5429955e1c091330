#include "plugin/nccl_profiler_abi.h"

#include <criterion/criterion.h>
#include <stddef.h>

/* Sizes as the released libraries have them (`ptype /o ncclProfilerEventDescr_v5_t` in gdb on
 * libnccl.so.2, 2.23.4 to 2.32.3). */
Test(nccl_profiler_abi, descriptors_have_the_layout_of_the_released_libraries)
{
	cr_assert_eq(sizeof(struct nccl_event_v1), 120);
	cr_assert_eq(sizeof(struct nccl_event_v2), 128);
	cr_assert_eq(sizeof(struct nccl_event_v3), 120);
	cr_assert_eq(sizeof(struct nccl_event_v4), 104);
	cr_assert_eq(sizeof(struct nccl_event_v5), 112);
	cr_assert_eq(offsetof(struct nccl_event_head, parent), 8);
	cr_assert_eq(offsetof(struct nccl_event_head, rank), 16);
	cr_assert_eq(offsetof(struct nccl_event_v1, coll), 24);
	cr_assert_eq(offsetof(struct nccl_event_v5, coll), 24);
}

Test(nccl_profiler_abi, collectives_have_the_layout_of_the_released_libraries)
{
	cr_assert_eq(offsetof(struct nccl_coll_v1, datatype), 60);
	cr_assert_eq(offsetof(struct nccl_coll_v1, traffic), 72);
	cr_assert_eq(offsetof(struct nccl_coll_v1, algo), 82);
	cr_assert_eq(offsetof(struct nccl_coll_v2, channels), 80);
	cr_assert_eq(offsetof(struct nccl_coll_v2, algo), 88);
	cr_assert_eq(offsetof(struct nccl_coll_v3, channels), 72);
	cr_assert_eq(offsetof(struct nccl_coll_v3, algo), 80);
	cr_assert_eq(offsetof(struct nccl_coll_v4, root), 40);
	cr_assert_eq(offsetof(struct nccl_coll_v4, channels), 56);
	cr_assert_eq(offsetof(struct nccl_coll_v4, proto), 72);
	cr_assert_eq(offsetof(struct nccl_coll_v5, parent_group), 80);
	cr_assert_eq(offsetof(struct nccl_p2p_v4, channels), 36);
	cr_assert_eq(offsetof(struct nccl_kernel_channel, clock), 8);
}

Test(nccl_profiler_abi, every_profiler_has_48_bytes_a_name_and_all_functions)
{
#define COMPLETE(v)                                        \
	cr_assert_eq(sizeof(ncclProfiler_##v), 48);        \
	cr_assert_str_eq(ncclProfiler_##v.name, "SPAN");    \
	cr_assert(ncclProfiler_##v.init);                  \
	cr_assert(ncclProfiler_##v.start);                 \
	cr_assert(ncclProfiler_##v.stop);                  \
	cr_assert(ncclProfiler_##v.record);                \
	cr_assert(ncclProfiler_##v.finalize)
	COMPLETE(v1);
	COMPLETE(v2);
	COMPLETE(v3);
	COMPLETE(v4);
	COMPLETE(v5);
	COMPLETE(v6);
#undef COMPLETE
}
