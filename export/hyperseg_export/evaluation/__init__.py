"""Scores checkpoints, ONNX files and engines with one metric."""

from hyperseg_export.evaluation.scores import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]
