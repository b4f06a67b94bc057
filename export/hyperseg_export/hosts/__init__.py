"""Files for programs that run our engines without our runtime: NVIDIA's Triton Inference Server and DeepStream."""
