"""This folder works with finished results: measurements, tables, repeats, citations."""
