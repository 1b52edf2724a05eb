"""What `dla-keras` runs: a module a command, and the flags that they share."""
