span-profile 1
name 8 x H100 SXM5 80GB, NVSwitch
source 0 NCCL 2.28.9, graph search of one node: tests/data/nccl-golden/oci__H100-topology.json
source 1 PCI ids: pci.ids of 2025; model.spread 1: NCCL's constants as they are, no evidence against its choice
source 2 nccl-tests on NVIDIA H100 80GB HBM3: wayne_h100_scaling_attributed_g2_NVLS.txt, wayne_h100_scaling_attributed_g2_Ring.txt, wayne_h100_scaling_attributed_g2_auto.txt, wayne_h100_scaling_attributed_g4_NVLS.txt, wayne_h100_scaling_attributed_g4_Ring.txt, ...
number comm.cc 90 spread 0 samples 0 source 0
number comm.channels.one 24 spread 0 samples 0 source 0
number comm.cpu 1 spread 0 samples 0 source 0
number comm.nvls-channels.one 16 spread 0 samples 0 source 0
number comm.nvswitch 1 spread 0 samples 0 source 0
number graph.one.nvls.bw-inter 60 spread 0 samples 0 source 0
number graph.one.nvls.bw-intra 40 spread 0 samples 0 source 0
number graph.one.nvls.channels 8 spread 0 samples 0 source 0
number graph.one.nvls.same-channels 0 spread 0 samples 0 source 0
number graph.one.nvls.type-inter 4 spread 0 samples 0 source 0
number graph.one.nvls.type-intra 1 spread 0 samples 0 source 0
number graph.one.ring.bw-inter 30 spread 0 samples 0 source 0
number graph.one.ring.bw-intra 30 spread 0 samples 0 source 0
number graph.one.ring.channels 12 spread 0 samples 0 source 0
number graph.one.ring.same-channels 1 spread 0 samples 0 source 0
number graph.one.ring.type-inter 4 spread 0 samples 0 source 0
number graph.one.ring.type-intra 1 spread 0 samples 0 source 0
number graph.one.tree.bw-inter 30 spread 0 samples 0 source 0
number graph.one.tree.bw-intra 30 spread 0 samples 0 source 0
number graph.one.tree.channels 12 spread 0 samples 0 source 0
number graph.one.tree.pattern 1 spread 0 samples 0 source 0
number graph.one.tree.same-channels 1 spread 0 samples 0 source 0
number graph.one.tree.type-inter 4 spread 0 samples 0 source 0
number graph.one.tree.type-intra 1 spread 0 samples 0 source 0
number machine.gpu 9008 spread 0 samples 0 source 1
number machine.gpus 8 spread 0 samples 0 source 0
number model.spread 1 spread 0 samples 0 source 1
curve AllGather Any/Any ranks 4 nodes 1 spread 0.0076127716991147305 samples 28 source 2
knot 64 22.54
knot 512 22.18
knot 4096 22.17
knot 8192 59.46
knot 16384 24.64
knot 32768 23.63
knot 65536 25.05
knot 131072 26.28
knot 524288 28.24
knot 1048576 27.87
knot 2097152 27.76
knot 4194304 38.62
knot 8388608 47.3
knot 16777216 67.25
knot 33554432 109.19
knot 67108864 194.91
knot 134217728 349.92
knot 536870912 1270.13
knot 2147483648 4831.51
knot 4294967296 9435.48
knot 8589934592 18753.6
curve ReduceScatter Any/Any ranks 4 nodes 1 spread 0.003514879611539061 samples 28 source 2
knot 64 21.57
knot 128 21.44
knot 512 21.36
knot 2048 21.32
knot 8192 21.69
knot 16384 23.26
knot 32768 21.94
knot 65536 22.98
knot 131072 23.96
knot 262144 24.97
knot 524288 25.95
knot 2097152 25.69
knot 4194304 35.72
knot 8388608 42.74
knot 16777216 62.56
knot 33554432 105.94
knot 67108864 189.89
knot 134217728 346.83
knot 268435456 662.6
knot 536870912 1274.53
knot 1073741824 2446.11
knot 4294967296 9411.22
knot 8589934592 18360.3
curve AllReduce Ring/Simple ranks 2 nodes 1 spread 0.0005461340705883021 samples 12 source 2
knot 268435456 893.24
knot 536870912 1710.3449999999998
knot 1073741824 3284.87
knot 4294967296 12467.9
knot 8589934592 24721.7
curve AllReduce NVLS/Simple ranks 2 nodes 1 spread 0.0006949085135739123 samples 6 source 2
knot 268435456 1346.49
knot 1073741824 5222.92
knot 8589934592 41508.1
curve AllReduce Any/Any ranks 4 nodes 1 spread 0.0017452244702259128 samples 31 source 2
knot 8 23.3
knot 16 23.44
knot 32 23.23
knot 64 23.34
knot 128 23.17
knot 256 23.3
knot 4096 23.17
knot 8192 23.75
knot 16384 24.34
knot 32768 25.05
knot 65536 25.49
knot 131072 26.32
knot 262144 27.19
knot 524288 27.88
knot 1048576 26.76
knot 2097152 30.32
knot 4194304 43.43
knot 8388608 63.07
knot 16777216 101.86
knot 33554432 175.81
knot 67108864 329.39
knot 268435456 1186.22
knot 536870912 2315.4
knot 2147483648 8926.72
knot 4294967296 17744.6
knot 8589934592 35187.6
curve AllReduce Ring/Simple ranks 4 nodes 1 spread 0.0003916425438485127 samples 12 source 2
knot 268435456 1185.92
knot 536870912 2319.82
knot 1073741824 4554.4349999999995
knot 8589934592 35301.05
curve AllReduce NVLS/Simple ranks 4 nodes 1 spread 0.0008138122308743202 samples 6 source 2
knot 268435456 1121.71
knot 536870912 2205.56
knot 1073741824 4333.74
knot 4294967296 17115.1
knot 8589934592 34229.8
end
