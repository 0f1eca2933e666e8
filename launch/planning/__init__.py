"""What a run needs of hardware, from compilers alone; `launch.plan` is the command."""
