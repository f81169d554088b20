"""XLA's flags for programs that run once: compiled for their numbers, not their speed."""

from importlib.metadata import version

QUICK_COMPILER = "--xla_backend_optimization_level=0"
# Half of a training step's compilation goes into generating fused loops through MLIR, and a fifth
# of any into splitting a small program for many threads. XLA ends the process at a flag it does not
# know, so only the release that is known to have these gets them.
if version("jaxlib").startswith("0.10."):
    QUICK_COMPILER += " --xla_cpu_use_fusion_emitters=false"
    QUICK_COMPILER += " --xla_cpu_parallel_codegen_split_count=1"
