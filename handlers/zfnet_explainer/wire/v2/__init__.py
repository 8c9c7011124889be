"""The Open Inference Protocol (KServe's V2): tensors in, tensors out."""
