"""Stand-ins for pycuda and tensorrt that keep the real ones' rules and fail as they do, on host memory.

The engine's arithmetic is ONNX Runtime's, with our CPU operators. What a double cannot show (that the kernels run on a
device, that TensorRT really behaves so) is shown by the `gpu` tests.
"""
