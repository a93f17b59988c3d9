"""The command line: modules here import click and the standard library; everything heavy is imported inside a command."""
