"""Plans as Python text: layout, notation, names, the header, and the classes of a generated file."""
