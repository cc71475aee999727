"""How cells show themselves: plain text, LaTeX, Python, HTML, diagrams."""
