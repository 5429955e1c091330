span-profile 1
name 8 x A100 SXM4 40GB, NVSwitch
source 0 NCCL 2.28.9, graph search of one node: tests/data/nccl-golden/oci-oke__BM.GPU4.8.json
source 1 PCI ids: pci.ids of 2025; model.spread 1: NCCL's constants as they are, no evidence against its choice
source 2 nccl-tests on A100-SXM4-40GB: superbench_a100x8_allgather.txt, superbench_a100x8_allreduce.txt, superbench_a100x8_alltoall.txt, superbench_a100x8_broadcast.txt, superbench_a100x8_reduce.txt, superbench_a100x8_reducescatter.txt
number comm.cc 80 spread 0 samples 0 source 0
number comm.channels.one 24 spread 0 samples 0 source 0
number comm.cpu 2 spread 0 samples 0 source 0
number comm.nvls-channels.one 0 spread 0 samples 0 source 0
number comm.nvswitch 1 spread 0 samples 0 source 0
number graph.one.ring.bw-inter 20 spread 0 samples 0 source 0
number graph.one.ring.bw-intra 20 spread 0 samples 0 source 0
number graph.one.ring.channels 12 spread 0 samples 0 source 0
number graph.one.ring.same-channels 1 spread 0 samples 0 source 0
number graph.one.ring.type-inter 4 spread 0 samples 0 source 0
number graph.one.ring.type-intra 1 spread 0 samples 0 source 0
number graph.one.tree.bw-inter 20 spread 0 samples 0 source 0
number graph.one.tree.bw-intra 20 spread 0 samples 0 source 0
number graph.one.tree.channels 12 spread 0 samples 0 source 0
number graph.one.tree.pattern 1 spread 0 samples 0 source 0
number graph.one.tree.same-channels 1 spread 0 samples 0 source 0
number graph.one.tree.type-inter 4 spread 0 samples 0 source 0
number graph.one.tree.type-intra 1 spread 0 samples 0 source 0
number machine.gpu 8368 spread 0 samples 0 source 1
number machine.gpus 8 spread 0 samples 0 source 0
number model.spread 1 spread 0 samples 0 source 1
curve Broadcast Any/Any ranks 8 nodes 1 spread 0.005791899509335784 samples 32 source 2
knot 4 33.96
knot 16 34.47
knot 32 35.24
knot 64 35.12
knot 128 34.67
knot 256 34.23
knot 512 34.26
knot 1024 34.87
knot 2048 34.9
knot 4096 35.37
knot 8192 34.95
knot 32768 35.03
knot 65536 36.04
knot 262144 46.58
knot 524288 58.37
knot 1048576 76.02
knot 4194304 81.06
knot 8388608 97.2
knot 16777216 143.1
knot 67108864 374.8
knot 134217728 672.2
knot 268435456 1271.5
knot 536870912 2436.3
knot 1073741824 4769.2
knot 2147483648 9314.2
knot 8589934592 36896
curve Reduce Any/Any ranks 8 nodes 1 spread 0.004538839802454987 samples 32 source 2
knot 4 35.4
knot 8 36.35
knot 16 35.47
knot 32 36.16
knot 128 34.78
knot 256 35.37
knot 512 35.49
knot 1024 35.38
knot 2048 35.97
knot 4096 36.03
knot 8192 36.8
knot 16384 35.37
knot 32768 35.16
knot 131072 43.07
knot 524288 67.58
knot 1048576 76.74
knot 4194304 81.47
knot 8388608 94.72
knot 16777216 137.7
knot 33554432 218.3
knot 134217728 661
knot 2147483648 9323.5
knot 4294967296 18594
knot 8589934592 37613
curve AllGather Any/Any ranks 8 nodes 1 spread 0.013986059309695176 samples 29 source 2
knot 32 35.03
knot 64 34.36
knot 128 33.94
knot 1024 35.38
knot 2048 34.67
knot 32768 34.54
knot 65536 36.34
knot 262144 46.45
knot 524288 58.48
knot 1048576 72.95
knot 2097152 77.28
knot 4194304 100.7
knot 8388608 123.5
knot 16777216 167.7
knot 33554432 265.8
knot 67108864 379.7
knot 134217728 698.6
knot 268435456 1192.2
knot 536870912 2304.1
knot 8589934592 33646
curve ReduceScatter Any/Any ranks 8 nodes 1 spread 0.003325402846737974 samples 29 source 2
knot 32 35.06
knot 128 34.38
knot 256 34.75
knot 512 34.71
knot 1024 35.16
knot 2048 35.43
knot 4096 35.49
knot 8192 35.18
knot 16384 35.27
knot 32768 35
knot 65536 36.78
knot 131072 40.71
knot 262144 48.12
knot 524288 59.81
knot 1048576 72.37
knot 2097152 80.64
knot 4194304 108.9
knot 8388608 147.3
knot 16777216 152.4
knot 33554432 240.5
knot 67108864 356.1
knot 134217728 618.1
knot 268435456 1108.7
knot 536870912 2169
knot 1073741824 4203
knot 2147483648 8356.9
knot 8589934592 32464
curve AllReduce Any/Any ranks 8 nodes 1 spread 0.004861411966510522 samples 32 source 2
knot 4 34.73
knot 8 34.66
knot 32 35.6
knot 64 34.83
knot 128 34.53
knot 256 34.56
knot 512 34.94
knot 1024 36.07
knot 2048 35.42
knot 4096 35.92
knot 8192 35.91
knot 32768 36.65
knot 65536 37.82
knot 131072 41.19
knot 262144 47.53
knot 524288 60.32
knot 1048576 74.78
knot 2097152 93.48
knot 4194304 112
knot 8388608 162
knot 16777216 226
knot 33554432 374.3
knot 67108864 584.5
knot 134217728 1162.2
knot 268435456 2112.2
knot 536870912 4200.3
knot 1073741824 8159.5
knot 2147483648 16215
knot 8589934592 63896
end
