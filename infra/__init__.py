"""How gonogo is wired on AWS (template.yaml) and packed for it (package.py)."""
