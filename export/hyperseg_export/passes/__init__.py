"""Rewrites of ONNX graphs, one idea a module, with its inverse; `targets` lists the passes of each target."""
