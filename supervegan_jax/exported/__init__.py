"""Networks as files that other programs run: StableHLO and ONNX."""
