"""Models in .onnx files (extra `onnx`): looked at, called, and carried as any other, without gradients."""

from outlast.onnx.files import NAME, SUFFIX, folder_of, is_onnx
from outlast.onnx.model import OnnxModel, read_onnx
from outlast.onnx.pairing import OnnxPorts

__all__ = ["NAME", "SUFFIX", "OnnxModel", "OnnxPorts", "folder_of", "is_onnx", "read_onnx"]
