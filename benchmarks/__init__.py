"""nncore against NumPy and, where they are installed, torch, jax, onnxruntime and scikit-learn. See run.py."""
