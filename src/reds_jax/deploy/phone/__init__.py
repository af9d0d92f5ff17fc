"""A device program as one file that runtimes of phones and PCs read: `onnx` and `litert`."""
