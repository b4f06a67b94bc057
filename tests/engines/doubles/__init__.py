"""Test doubles of pycuda and tensorrt with the rules and failures of the real ones, on host memory.

The engine's arithmetic is ONNX Runtime's, with our CPU operators. The `gpu` tests cover what doubles cannot
show: that the kernels run on a device, and that TensorRT behaves as assumed.
"""
