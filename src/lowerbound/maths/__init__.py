"""Floor 0: pure functions of tensors. No modules, no files, no clock."""
