"""What is learned: one module a task, with its losses, scores and recipes."""
