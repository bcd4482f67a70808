"""Moving in: what is done to the machine that txraker runs on, from the command line and by nothing else."""
