"""The subcommands of `vtiqa`: what a command line says, turned into calls."""
