"""Operators of the ONNX domain `hyperseg`: schemas, and translation from PyTorch."""

from __future__ import annotations

DOMAIN = "hyperseg"
VERSION = 1

PLUGIN_ATTRIBUTES = {"plugin_namespace": "hyperseg", "plugin_version": "1"}
"""On every node: by these TensorRT's ONNX parser finds the plugin's creator."""

FORMER_NAMES = {"MappedDPWConv": "FusedMapperDPWConv", "InvertedResidual": "MBConv"}
"""Names of operators in files of version 0.1.0, and those of today. Such files keep loading."""
