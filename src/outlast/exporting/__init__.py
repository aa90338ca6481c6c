"""Models written as .onnx files, with their state as inputs and outputs."""

from outlast.exporting.exporting import TOLERANCE, export

__all__ = ["TOLERANCE", "export"]
