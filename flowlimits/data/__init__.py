"""Work with finished results: measurements, tables, files, citations."""
